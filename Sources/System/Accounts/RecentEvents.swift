import Environment

/// A rate limit by key: at most `limit` events in `window` for each key.
struct RecentEvents<Key: Hashable & Sendable>: Sendable {
  /// The maximum number of keys. Beyond it the oldest are dropped, so that invented names cannot
  /// fill the memory.
  static var maximumKeys: Int { 100_000 }

  private let limit: Int
  private let window: Duration
  /// The times of the last events of each key, at most `limit`, oldest first.
  private var times: [Key: [Instant]] = [:]
  /// The keys in the order of their first event.
  private var order: [Key] = []

  init(limit: Int, window: Duration) {
    self.limit = limit
    self.window = window
  }

  /// The number of keys.
  var count: Int { times.count }

  /// Returns the time until the next event is within the limit, or nil if it is now.
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

  /// Removes the events of a key.
  mutating func forget(_ key: Key) {
    if !times.isEmpty { times[key] = nil }
  }
}
