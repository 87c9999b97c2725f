import Environment

/// The clocks of a node in virtual time. The monotonic clock may drift, and the wall clock may be
/// wrong.
final class SimClock: Clock, @unchecked Sendable {
  let life: Life
  private var setting: ClockSetting { life.clock }

  init(life: Life) { self.life = life }

  var now: Instant { Instant(nanoseconds: setting.local(life.scheduler.now)) }
  var wallTime: Timestamp { setting.wallTime(life.scheduler.now) }

  func sleep(until deadline: Instant) async throws {
    let time = setting.virtual(deadline.nanoseconds)
    do {
      try await life.wait(Wait("timer"), until: time) { _ in }
    } catch NetworkError.timedOut {
      return
    }
  }
}
