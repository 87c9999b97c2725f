import Environment
import System

/// A row for as long as it lives, through all its versions.
struct RowKey: Hashable, Comparable, Sendable {
  var table: Int
  /// SQLite's number of the row.
  var row: Int64

  static func < (a: RowKey, b: RowKey) -> Bool { (a.table, a.row) < (b.table, b.row) }
}

/// The change of one row: an insertion has no old values, a deletion no new ones.
struct RowChange: Sendable {
  var table: String
  var key: RowKey
  var old: [StoredValue]?
  var new: [StoredValue]?
}

/// The changes of a committed transaction.
struct Commit: Sendable {
  var number: Int
  var changes: [RowChange]
}

/// The state of a row after a snapshot.
enum LaterVersion {
  case unchanged
  case deleted
  case changed([StoredValue])
}

/// The committed rows in SQLite, and views of them: as of a snapshot, with the changes of one open
/// transaction.
///
/// A view is a SQLite transaction that is never committed as such: newer commits are undone in it
/// and the changes of the open transaction are applied. A transaction that is alone stays in its
/// view, and its COMMIT is SQLite's.
final class RowStore {
  private struct View {
    var transaction: Int
    var snapshot: Int
    var applied: Int
    var epoch: Int
  }

  let database: StatementDatabase
  /// The number of the last commit.
  private(set) var lastCommit = 0
  /// The commits that are newer than the oldest snapshot in use.
  private var history: [Commit] = []
  private var view: View?
  /// Whether the view holds changes of the catalog, which cannot be applied again.
  var isPinned = false

  init(_ database: StatementDatabase) { self.database = database }

  /// Runs a query as `transaction` sees the rows at `snapshot`.
  func read(
    _ sql: String, in transaction: OpenTransaction, at snapshot: Int, _ parameters: StatementDatabase.Parameters
  ) throws -> [[StoredValue]] {
    try enter(transaction, snapshot)
    return try database.run(sql, parameters)
  }

  /// Brings the connection to the view of a transaction.
  func enter(_ transaction: OpenTransaction, _ snapshot: Int) throws {
    if view == nil, transaction.changes.isEmpty, snapshot == lastCommit { return }
    if let view,
      view.transaction != transaction.id || view.snapshot != snapshot || view.epoch != transaction.epoch
    {
      try leave()
      return try enter(transaction, snapshot)
    }
    if view == nil {
      try database.execute("BEGIN")
      for commit in history.reversed() where commit.number > snapshot {
        for change in commit.changes.reversed() { try apply(change, from: change.new, to: change.old) }
      }
      view = View(transaction: transaction.id, snapshot: snapshot, applied: 0, epoch: transaction.epoch)
    }
    while view!.applied < transaction.changes.count {
      let change = transaction.changes[view!.applied]
      try apply(change, from: change.old, to: change.new)
      view!.applied += 1
    }
  }

  /// Starts the view of a transaction that changes the catalog.
  func pin(_ transaction: OpenTransaction) throws {
    try enter(transaction, lastCommit)
    if view == nil {
      try database.execute("BEGIN")
      view = View(transaction: transaction.id, snapshot: lastCommit, applied: 0, epoch: transaction.epoch)
    }
    isPinned = true
  }

  /// Ends the view. Nothing of it stays.
  func leave() throws {
    guard view != nil else { return }
    require(!isPinned, "a view with changes of the catalog was left")
    view = nil
    try database.execute("ROLLBACK")
  }

  /// Ends the view of a transaction that is rolled back.
  func forget(_ transaction: OpenTransaction) throws {
    guard view?.transaction == transaction.id else { return }
    isPinned = false
    try leave()
  }

  /// Commits a transaction durably. `isKept` tells whether a snapshot before it is in use.
  func commit(_ transaction: OpenTransaction, isKept: Bool, _ more: (StatementDatabase) throws -> Void) throws {
    try enter(transaction, lastCommit)
    if view == nil { try database.execute("BEGIN") }
    try more(database)
    view = nil
    isPinned = false
    try database.execute("COMMIT")
    lastCommit += 1
    if isKept {
      history.append(Commit(number: lastCommit, changes: transaction.changes))
    } else {
      history = []
    }
    try database.checkpointWhenLong()
  }

  /// Returns what commits after `snapshot` made of a row.
  func version(of key: RowKey, after snapshot: Int) -> LaterVersion {
    for commit in history.reversed() where commit.number > snapshot {
      guard let change = commit.changes.last(where: { $0.key == key }) else { continue }
      return change.new.map { .changed($0) } ?? .deleted
    }
    return .unchanged
  }

  /// The commits after `snapshot`.
  func commits(after snapshot: Int) -> [Commit] { history.filter { $0.number > snapshot } }

  private func apply(_ change: RowChange, from old: [StoredValue]?, to new: [StoredValue]?) throws {
    let table = change.table.quotedName
    let parameters = { (number: Int) -> StoredValue in
      number == Slot.now ? .integer(change.key.row) : new![number - Slot.row]
    }
    guard let new else {
      _ = try database.run("DELETE FROM \(table) WHERE _rowid_ = $\(Slot.now)") { _ in .integer(change.key.row) }
      return
    }
    guard let old else {
      let values = new.indices.map { "$\(Slot.row + $0)" }.joined(separator: ", ")
      let columns = columnNames(change.table).prefix(new.count).joined(separator: ", ")
      _ = try database.run("INSERT INTO \(table) (_rowid_, \(columns)) VALUES ($\(Slot.now), \(values))", parameters)
      return
    }
    // In an old snapshot the row may have other values than those that the change began with.
    let isOld = view?.snapshot != lastCommit
    let changed = new.indices.filter { isOld || old[$0] != new[$0] }
    guard !changed.isEmpty else { return }
    let names = columnNames(change.table)
    let sets = changed.map { "\(names[$0]) = $\(Slot.row + $0)" }
    _ = try database.run("UPDATE \(table) SET \(sets.joined(separator: ", ")) WHERE _rowid_ = $\(Slot.now)", parameters)
  }

  /// Set by the engine: the quoted names of a table's columns.
  var columnNames: (_ table: String) -> [String] = { _ in [] }
}
