/// The ids of the messages that were handled last, to recognize a message that is delivered again.
/// Memory is bounded: older ids are forgotten.
struct RecentIDs: Sendable {
  /// The set keeps at least the latest `limit` ids, and fewer than twice as many.
  let limit: Int
  private var ids: Set<String>
  private var order: [String]

  /// Creates a set of known ids, oldest first.
  init(limit: Int, _ known: [String] = []) {
    self.limit = limit
    ids = Set(known)
    order = known
  }

  func contains(_ id: String) -> Bool { ids.contains(id) }

  /// Adds an id. Returns false when it is known.
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
