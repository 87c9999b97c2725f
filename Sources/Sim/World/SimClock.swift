import System

/// A node's clocks in virtual time: the monotonic one may run fast or slow (drift), the wall clock may be wrong (skew).
final class SimClock: Clock, @unchecked Sendable {
  /// 2026-11-21T00:00:00Z: when every simulated run begins.
  static let epoch = Timestamp(seconds: 1_795_219_200)

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

/// How a node's clocks differ from virtual time. It belongs to the machine and survives crashes.
final class ClockSetting {
  /// Parts per million by which the node's second is shorter than a true one.
  var driftPartsPerMillion: Int64 = 0
  /// How far the wall clock is ahead.
  var skew: Duration = .zero

  func wallTime(_ virtual: Int64) -> Timestamp { SimClock.epoch + .nanoseconds(local(virtual)) + skew }

  func local(_ virtual: Int64) -> Int64 { virtual + virtual / 1_000_000 * driftPartsPerMillion }

  /// The first virtual time at which the local clock shows at least `local`.
  func virtual(_ local: Int64) -> Int64 {
    if driftPartsPerMillion == 0 { return local }
    if local > .max / 4 { return .max }
    var guess = local - local / (1_000_000 + driftPartsPerMillion) * driftPartsPerMillion
    while self.local(guess) < local { guess += max(1, local - self.local(guess)) }
    return guess
  }
}
