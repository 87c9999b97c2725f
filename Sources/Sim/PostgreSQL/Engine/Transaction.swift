import System

/// What a statement waits for.
enum StatementWait: Hashable, Sendable {
  case row(RowKey, RowLockMode)
  /// The end of a transaction, or the next end of one of its savepoints.
  case transaction(Int, session: Int, epoch: Int)
  case object(LockedObject, TableLockMode)
}

/// Thrown by a step of a statement that has to wait. The step is repeated later.
struct Blocked: Error {
  var wait: StatementWait
}

/// A row that is being inserted or given new keys, while a unique index makes its transaction wait.
struct PendingRow {
  var table: String
  var cells: [StoredValue]
  /// The names of the indexes that have the row already.
  var indexes: [String]
}

/// A transaction.
final class OpenTransaction {
  struct Savepoint {
    var name: String
    var changes: Int
    var rowLocks: Int
    var objectLocks: Int
    var notifications: Int
    var listening: Int
  }

  let id: Int
  let session: Int
  var isolation: IsolationLevel
  var isReadOnly: Bool
  /// Microseconds since 2000.
  let start: Int64
  /// The snapshot of REPEATABLE READ and SERIALIZABLE.
  var snapshot: Int?
  var changes: [RowChange] = []
  var pending: PendingRow?
  var rowLocks: [(key: RowKey, mode: RowLockMode)] = []
  var objectLocks: [(object: LockedObject, mode: TableLockMode)] = []
  var savepoints: [Savepoint] = []
  var notifications: [(channel: String, payload: [UInt8])] = []
  /// Channels that its commit begins or ceases to listen to, in order; nil for all of them.
  var listening: [(channel: String?, begins: Bool)] = []
  /// Rises when changes are undone, so that views with them end.
  var epoch = 0
  /// The catalog before the first change of it.
  var formerCatalog: Catalog?
  /// Whether BEGIN started it.
  var isExplicit: Bool
  /// Whether it failed and waits for ROLLBACK.
  var hasFailed = false
  /// Whether a statement has run in it.
  var hasRun = false
  /// The reads of a SERIALIZABLE transaction.
  var reads: [SerializableRead] = []
  /// Whether a serializable transaction before it depends on what it overwrote, and the reverse.
  var hasInConflict = false
  var hasOutConflict = false

  init(id: Int, session: Int, isolation: IsolationLevel, isReadOnly: Bool, start: Int64, isExplicit: Bool) {
    self.id = id
    self.session = session
    self.isolation = isolation
    self.isReadOnly = isReadOnly
    self.start = start
    self.isExplicit = isExplicit
  }
}

/// A query of a SERIALIZABLE transaction and its answer.
struct SerializableRead {
  var sql: String
  var parameters: [Int: StoredValue]
  /// The number of changes of the transaction itself before it.
  var changes: Int
  var answer: [[StoredValue]]
}

/// The answer to a statement.
struct StatementAnswer: Sendable {
  var rows: [[StoredValue]] = []
  /// The tag of CommandComplete.
  var tag: String
  var notices: [ServerError] = []
}

/// How a statement ended.
enum StatementResult: Sendable {
  case answer(StatementAnswer)
  case failure(ServerError)
}
