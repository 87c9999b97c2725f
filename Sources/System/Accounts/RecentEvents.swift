import Environment

/// Events of the last while, counted by key: at most `limit` in `window` for each.
struct RecentEvents<Key: Hashable & Sendable>: Sendable {
  /// Keys that are remembered; past it the oldest go, so that made-up names cannot fill the memory.
  static var maximumKeys: Int { 100_000 }

  private let limit: Int
  private let window: Duration
  /// The times of the last events of each key, oldest first, at most `limit`.
  private var times: [Key: [Instant]] = [:]
  /// The keys in order of their first event, for forgetting.
  private var order: [Key] = []

  init(limit: Int, window: Duration) {
    self.limit = limit
    self.window = window
  }

  /// How many keys are remembered.
  var count: Int { times.count }

  /// How long to wait before the next event is within the limit, or nil when it is now.
  mutating func wait(_ key: Key, at now: Instant) -> Duration? {
    guard !times.isEmpty, var own = times[key] else { return nil }
    own.removeAll { now - $0 >= window }
    times[key] = own.isEmpty ? nil : own
    guard own.count >= limit else { return nil }
    return window - (now - own[own.count - limit])
  }

  mutating func add(_ key: Key, at now: Instant) {
    if times[key] == nil {
      order.append(key)
      if order.count > Self.maximumKeys { forgetOldest() }
    }
    times[key, default: []].append(now)
    if times[key]!.count > limit { times[key]!.removeFirst() }
  }

  private mutating func forgetOldest() {
    for key in order.prefix(Self.maximumKeys / 10) { times[key] = nil }
    order.removeFirst(Self.maximumKeys / 10)
  }

  /// Forgets the events of one key.
  mutating func forget(_ key: Key) {
    if !times.isEmpty { times[key] = nil }
  }
}
