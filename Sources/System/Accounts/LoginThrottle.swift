/// Counts failed logins by account and by address, and says who has to wait. In memory: a restart forgets, and an attacker
/// who can restart the service needs no guessing.
struct LoginThrottle {
  struct Limits: Sendable {
    var perAccount = 10
    var perAddress = 100
    var window: Duration = .seconds(15 * 60)
  }

  /// Keys that are remembered; past it the oldest go, so that made-up names cannot fill the memory.
  static let maximumKeys = 100_000

  private let limits: Limits
  /// The times of the failures of each key, oldest first.
  private var failures: [String: [Instant]] = [:]
  /// The keys in order of their first failure, for forgetting.
  private var order: [String] = []

  init(_ limits: Limits) { self.limits = limits }

  /// How many keys are remembered.
  var count: Int { failures.count }

  /// How long to wait before the next attempt, or nil when it may be made now.
  mutating func wait(account: String, address: String, at now: Instant) -> Duration? {
    if failures.isEmpty { return nil }
    let waits = [
      wait("account " + account, limits.perAccount, now), wait("address " + address, limits.perAddress, now),
    ]
    return waits.compactMap { $0 }.max()
  }

  private mutating func wait(_ key: String, _ limit: Int, _ now: Instant) -> Duration? {
    guard var times = failures[key] else { return nil }
    times.removeAll { now - $0 >= limits.window }
    failures[key] = times.isEmpty ? nil : times
    guard times.count >= limit else { return nil }
    return limits.window - (now - times[times.count - limit])
  }

  /// A wrong password, or an unknown user.
  mutating func failed(account: String, address: String, at now: Instant) {
    add("account " + account, limits.perAccount, now)
    add("address " + address, limits.perAddress, now)
  }

  private mutating func add(_ key: String, _ limit: Int, _ now: Instant) {
    if failures[key] == nil {
      order.append(key)
      if order.count > Self.maximumKeys { forgetOldest() }
    }
    failures[key, default: []].append(now)
    if failures[key]!.count > limit { failures[key]!.removeFirst() }
  }

  private mutating func forgetOldest() {
    for key in order.prefix(Self.maximumKeys / 10) { failures[key] = nil }
    order.removeFirst(Self.maximumKeys / 10)
  }

  /// The right password: the account's failures no longer count.
  mutating func succeeded(account: String) {
    if !failures.isEmpty { failures["account " + account] = nil }
  }
}
