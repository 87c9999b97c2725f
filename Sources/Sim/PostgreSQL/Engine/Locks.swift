/// The locks on rows, and the queues for them.
///
/// A transaction that finds a row locked first takes its place in a queue (PostgreSQL's tuple
/// lock), and then waits for a holder. One that finds no conflict does not look at the queue
/// (README.tuplock in PostgreSQL's sources).
struct RowLocks {
  struct Hold {
    var session: Int
    var mode: RowLockMode
  }

  private var holders: [RowKey: [Hold]] = [:]
  private var queues: [RowKey: [Hold]] = [:]

  /// The sessions that a request waits for.
  func blockers(_ session: Int, _ key: RowKey, _ mode: RowLockMode) -> [Int] {
    guard let conflicting = holders[key]?.first(where: { $0.session != session && $0.mode.conflicts(with: mode) })
    else {
      // Somebody who waits does not overtake those before it.
      guard let queue = queues[key], queue.contains(where: { $0.session == session }) else { return [] }
      return Self.ahead(session, mode, queue)
    }
    // Whoever has a weaker lock does not queue for a stronger one, which avoids deadlocks.
    if holders[key]!.contains(where: { $0.session == session }) { return [conflicting.session] }
    let ahead = Self.ahead(session, mode, queues[key] ?? [])
    return ahead.isEmpty ? [conflicting.session] : ahead
  }

  private static func ahead(_ session: Int, _ mode: RowLockMode, _ queue: [Hold]) -> [Int] {
    queue.prefix { $0.session != session }.filter { $0.mode.conflicts(with: mode) }.map(\.session)
  }

  mutating func enqueue(_ session: Int, _ key: RowKey, _ mode: RowLockMode) {
    let isHolder = holders[key]?.contains { $0.session == session } == true
    if !isHolder, queues[key]?.contains(where: { $0.session == session }) != true {
      queues[key, default: []].append(Hold(session: session, mode: mode))
    }
  }

  mutating func leaveQueue(_ session: Int, _ key: RowKey) {
    queues[key]?.removeAll { $0.session == session }
    if queues[key]?.isEmpty == true { queues[key] = nil }
  }

  /// Ends the queue of a row that has a new version: its waiters go on to that one in any order.
  mutating func dissolveQueue(_ key: RowKey) { queues[key] = nil }

  func holds(_ session: Int, _ key: RowKey, atLeast mode: RowLockMode) -> Bool {
    holders[key]?.contains { $0.session == session && $0.mode.rawValue >= mode.rawValue } ?? false
  }

  mutating func grant(_ session: Int, _ key: RowKey, _ mode: RowLockMode) {
    holders[key, default: []].append(Hold(session: session, mode: mode))
  }

  mutating func release(_ session: Int, _ key: RowKey, _ mode: RowLockMode) {
    guard let index = holders[key]?.lastIndex(where: { $0.session == session && $0.mode == mode }) else { return }
    holders[key]!.remove(at: index)
    if holders[key]!.isEmpty { holders[key] = nil }
  }
}

/// What a table lock or an advisory lock is on.
enum LockedObject: Hashable, Sendable {
  case table(Int)
  case advisory(Int64)
}

/// Table locks and advisory locks: granted in the order of requests.
struct ObjectLocks {
  struct Hold {
    var session: Int
    var mode: TableLockMode
    /// Whether it lasts until the session ends or releases it.
    var isOfSession = false
  }

  private var holders: [LockedObject: [Hold]] = [:]
  private var queues: [LockedObject: [Hold]] = [:]

  func blockers(_ session: Int, _ object: LockedObject, _ mode: TableLockMode) -> [Int] {
    let held = holders[object] ?? []
    if held.contains(where: { $0.session == session && $0.mode.rawValue >= mode.rawValue && $0.mode == mode }) {
      return []
    }
    let holding = held.filter { $0.session != session && $0.mode.conflicts(with: mode) }.map(\.session)
    let ahead = before(session, object).filter { $0.mode.conflicts(with: mode) }.map(\.session)
    return holding + ahead.filter { !holding.contains($0) }
  }

  /// The waiters that a session queues behind. One that holds a lock which blocks a waiter goes
  /// before it, and so before all after it (`ProcSleep` in PostgreSQL's sources).
  private func before(_ session: Int, _ object: LockedObject) -> ArraySlice<Hold> {
    let own = (holders[object] ?? []).filter { $0.session == session }
    return (queues[object] ?? []).prefix { waiter in
      waiter.session != session && !own.contains { $0.mode.conflicts(with: waiter.mode) }
    }
  }

  mutating func enqueue(_ session: Int, _ object: LockedObject, _ mode: TableLockMode) {
    if queues[object]?.contains(where: { $0.session == session }) != true {
      let place = before(session, object).count
      queues[object, default: []].insert(Hold(session: session, mode: mode), at: place)
    }
  }

  mutating func leaveQueue(_ session: Int, _ object: LockedObject) {
    queues[object]?.removeAll { $0.session == session }
    if queues[object]?.isEmpty == true { queues[object] = nil }
  }

  mutating func grant(_ session: Int, _ object: LockedObject, _ mode: TableLockMode, ofSession: Bool) {
    holders[object, default: []].append(Hold(session: session, mode: mode, isOfSession: ofSession))
  }

  func holds(_ session: Int, _ object: LockedObject, _ mode: TableLockMode) -> Bool {
    holders[object]?.contains { $0.session == session && $0.mode == mode && !$0.isOfSession } ?? false
  }

  /// Releases one lock. Returns whether there was one.
  mutating func release(_ session: Int, _ object: LockedObject, ofSession: Bool, _ mode: TableLockMode? = nil) -> Bool {
    let index = holders[object]?.lastIndex {
      $0.session == session && $0.isOfSession == ofSession && (mode == nil || $0.mode == mode)
    }
    guard let index else { return false }
    holders[object]!.remove(at: index)
    if holders[object]!.isEmpty { holders[object] = nil }
    return true
  }
}
