import Environment

/// The heartbeats of all sessions: the server pings, and a client that does not answer in time is gone.
extension EngineIOServer {
  /// One task beats for all: ten thousand that sleep would be ten megabytes.
  func expectBeat(_ id: String, at time: Instant) {
    beats.insert(id, at: time.nanoseconds)
    guard !isBeating else { return }
    isBeating = true
    environment.executor.spawn("heartbeats") { await self.beatAll() }
  }

  private func beatAll() async {
    while let next = beats.nextTime {
      // A session that opens meanwhile is due an interval later at the earliest.
      let wake = min(Instant(nanoseconds: next), environment.clock.now + options.pingInterval)
      do { try await environment.clock.sleep(until: wake) } catch { return close() }
      while let time = beats.nextTime, time <= environment.clock.now.nanoseconds {
        beat(beats.removeFirst(), at: Instant(nanoseconds: time))
      }
    }
    isBeating = false
  }

  /// Sends a ping when it is time for one; a time-out later, the pong has to be there.
  private func beat(_ id: String, at time: Instant) {
    guard let session = sessions[id] else { return }
    guard let pinged = session.pinged else {
      session.pinged = time
      send(.packet(.ping("")), to: session)
      return expectBeat(id, at: time + options.pingTimeout)
    }
    guard let pong = session.lastPong, pong >= pinged else { return end(session, reason: "ping timeout") }
    session.pinged = nil
    expectBeat(id, at: pong + options.pingInterval)
  }
}
