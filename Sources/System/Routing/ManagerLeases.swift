import Environment

/// Which hosts live, and what becomes of the sessions of those that do not.
extension UserManager {
  func watchHosts() async {
    while !isClosed {
      let now = environment.clock.now
      var lost: Set<String> = []
      for session in state.sessions.all where session.isOwn {
        let id = session.id
        if session.status == .starting {
          let offer = offered[id] ?? (now, 0)
          offered[id] = offer
          let patience = options.patience(withOffers: offer.times)
          let isSomebodyThere = heard.contains { now - $0.value < options.hostTimeout }  // in any order
          if now - offer.since > patience, isSomebodyThere {
            offered[id] = (now, offer.times + 1)
            submit(.offerAgain(id))
          }
        } else {
          offered[id] = nil
          if now - (heard[session.host] ?? begun) > options.hostTimeout { lost.insert(session.host) }
        }
      }
      for host in lost.sorted() {
        environment.log.warning("host-lost", ["host": .string(host)])
        submit(.hostLost(host))
      }
      heard = heard.filter { now - $0.value < .seconds(600) }
      do { try await environment.clock.sleep(for: .milliseconds(500)) } catch { return }
    }
  }
}
