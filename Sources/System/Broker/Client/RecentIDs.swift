/// The ids of messages that were handled, the latest of them: the same id means the same message. Older ones are forgotten, since
/// each holds memory.
struct RecentIDs: Sendable {
  /// So many at least are remembered, and at most twice as many.
  let limit: Int
  private var ids: Set<String>
  private var order: [String]

  /// Remembers these, the oldest first.
  init(limit: Int, _ known: [String] = []) {
    self.limit = limit
    ids = Set(known)
    order = known
  }

  func contains(_ id: String) -> Bool { ids.contains(id) }

  /// Remembers an id; false when it is known.
  @discardableResult
  mutating func insert(_ id: String) -> Bool {
    guard ids.insert(id).inserted else { return false }
    order.append(id)
    if order.count >= 2 * limit {
      for old in order.prefix(limit) { ids.remove(old) }
      order.removeFirst(limit)
    }
    return true
  }
}
