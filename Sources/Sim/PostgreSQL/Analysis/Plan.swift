/// A column of a result, as RowDescription tells it.
struct ResultColumn: Sendable {
  var name: String
  var type: DeclaredType
  var tableID = 0
  var number = 0
}

struct SelectPlan: Sendable {
  /// The query; with a lock its last column is the row's number, and it has no LIMIT.
  var sql: String
  var locking: RowLocking?
  /// A query of the limit and the offset, if there are any.
  var bounds: String?
  /// A call that is a command of the server, such as `pg_advisory_lock`, and its arguments.
  var call: ServerCall?
}

struct RowLocking: Sendable {
  var table: String
  var mode: RowLockMode
  var policy: LockPolicy
  /// A query that evaluates the select list and the filter for the row in hand.
  var recheck: String
  var isOrdered: Bool
}

/// A function that acts on the server: its name, and a query of its arguments.
struct ServerCall: Sendable {
  var name: String
  var arguments: String
}

struct InsertPlan: Sendable {
  var table: String
  /// A query of the rows to insert; nil for one row of defaults.
  var source: String?
  /// The column of each value; DEFAULT values are missing in `given`.
  var columns: [Int]
  /// For each row of VALUES, the columns that have DEFAULT. Empty for a query.
  var defaulted: [[Int]]
  /// A query of the default of each column that has one.
  var defaults: [Int: String]
  var conflict: ConflictPlan?
  var returning: String?
}

struct ConflictPlan: Sendable {
  /// The indexes that decide. nil: all unique indexes.
  var arbiters: [String]?
  var update: RowUpdate?
}

/// New values of a row.
struct RowUpdate: Sendable {
  var columns: [Int]
  /// A query of the new values of the row in hand. No row if the filter refuses it.
  var sql: String
}

struct UpdatePlan: Sendable {
  var table: String
  /// A query of the new values and the number of each row.
  var targets: String
  var recheck: RowUpdate
  var returning: String?
}

struct DeletePlan: Sendable {
  var table: String
  /// A query of the number of each row.
  var targets: String
  /// A query that has a row if the filter accepts the row in hand.
  var recheck: String
  var returning: String?
}

enum Plan: Sendable {
  case select(SelectPlan)
  case insert(InsertPlan)
  case update(UpdatePlan)
  case delete(DeletePlan)
  case command
}

/// A statement with its plan.
struct PreparedStatement: Sendable {
  var statement: SQLStatement
  var plan: Plan
  var parameters: [SQLType]
  /// nil for statements without a result.
  var columns: [ResultColumn]?
  var locks: [(table: Int, mode: TableLockMode)]
  var catalogVersion: Int
}

extension SQLStatement {
  /// Whether the statement may run in a transaction that has failed.
  var endsTransaction: Bool {
    switch self {
    case .commit, .rollback, .rollbackTo: true
    default: false
    }
  }
}
