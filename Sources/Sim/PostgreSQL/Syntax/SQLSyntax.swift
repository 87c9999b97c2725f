/// An error that the server answers (PostgreSQL 15, appendix A).
struct ServerError: Error, Hashable {
  /// The SQLSTATE.
  var code: String
  var message: String
  var detail: String?
  var schema: String?
  var table: String?
  var column: String?
  var constraint: String?

  init(_ code: String, _ message: String) {
    self.code = code
    self.message = message
  }

  /// An error of a statement that the simulated server does not know. The run has a defect.
  static func unknown(_ what: String) -> ServerError { ServerError(unknownCode, "the simulated server: \(what)") }

  /// `feature_not_supported`, which the server uses only for what it does not know.
  static let unknownCode = "0A000"
}

/// A type of a column, a parameter or an expression. The raw value is PostgreSQL's OID.
enum SQLType: UInt32, Hashable, Sendable {
  case boolean = 16
  case bytea = 17
  case bigint = 20
  case smallint = 21
  case integer = 23
  case text = 25
  case double = 701
  case unknown = 705
  case varchar = 1043
  case timestamp = 1114
  case timestamptz = 1184
  case trigger = 2279
  case void = 2278
  case numeric = 1700

  var isNumber: Bool { isInteger || self == .numeric || self == .double }
  var isInteger: Bool { self == .bigint || self == .integer || self == .smallint }
  var isText: Bool { self == .text || self == .varchar }
  var isTime: Bool { self == .timestamp || self == .timestamptz }

  /// The size in bytes in RowDescription; -1 if it varies.
  var size: Int16 {
    switch self {
    case .boolean: 1
    case .smallint: 2
    case .integer, .trigger, .void: 4
    case .bigint, .double, .timestamp, .timestamptz: 8
    case .unknown: -2
    case .bytea, .text, .varchar, .numeric: -1
    }
  }

  /// The name in messages.
  var name: String {
    switch self {
    case .boolean: "boolean"
    case .bytea: "bytea"
    case .bigint: "bigint"
    case .smallint: "smallint"
    case .integer: "integer"
    case .text: "text"
    case .double: "double precision"
    case .unknown: "unknown"
    case .varchar: "character varying"
    case .timestamp: "timestamp without time zone"
    case .timestamptz: "timestamp with time zone"
    case .trigger: "trigger"
    case .void: "void"
    case .numeric: "numeric"
    }
  }
}

/// A type with the maximum length of a VARCHAR.
struct DeclaredType: Hashable, Sendable {
  var type: SQLType
  var length: Int?
}

/// An expression of a statement.
indirect enum SQLExpression: Hashable, Sendable {
  case column(table: String?, name: String)
  case null
  case boolean(Bool)
  case integer(Int64)
  case string([UInt8])
  case parameter(Int)
  case not(SQLExpression)
  case negative(SQLExpression)
  case binary(String, SQLExpression, SQLExpression)
  case isNull(SQLExpression, negated: Bool)
  case isDistinct(SQLExpression, SQLExpression, negated: Bool)
  case between(SQLExpression, SQLExpression, SQLExpression, negated: Bool)
  case inList(SQLExpression, [SQLExpression], negated: Bool)
  case inSelect(SQLExpression, SQLSelect, negated: Bool)
  case like(SQLExpression, SQLExpression, negated: Bool)
  case exists(SQLSelect)
  case scalar(SQLSelect)
  case function(String, [SQLExpression], isStar: Bool, isDistinct: Bool)
  case cast(SQLExpression, DeclaredType)
  case choice(operand: SQLExpression?, [[SQLExpression]], otherwise: SQLExpression?)
  case row([SQLExpression])
  /// DEFAULT in VALUES or SET.
  case defaultValue
}

/// An item of a select list or of RETURNING.
struct SQLItem: Hashable, Sendable {
  /// nil for `*` and `table.*`.
  var expression: SQLExpression?
  var starTable: String?
  var name: String?
}

/// A table, or a subquery, in FROM.
indirect enum SQLSource: Hashable, Sendable {
  case table(String, alias: String)
  case subquery(SQLSelect, alias: String)
  /// `kind` is `JOIN`, `LEFT JOIN` or `CROSS JOIN`.
  case join(SQLSource, SQLSource, kind: String, on: SQLExpression?)
}

struct SQLOrder: Hashable, Sendable {
  var expression: SQLExpression
  var isDescending: Bool
  var nullsFirst: Bool?
}

/// The strength of a row lock, from the weakest (PostgreSQL 15, §13.3.2).
enum RowLockMode: Int, Hashable, Sendable {
  case keyShare, share, noKeyUpdate, update

  func conflicts(with other: RowLockMode) -> Bool {
    switch self {
    case .keyShare: other == .update
    case .share: other == .noKeyUpdate || other == .update
    case .noKeyUpdate: other != .keyShare
    case .update: true
    }
  }
}

/// What a statement does that finds a row locked.
enum LockPolicy: Hashable, Sendable { case wait, noWait, skip }

/// FOR UPDATE and its kin.
struct SQLLocking: Hashable, Sendable {
  var mode: RowLockMode
  /// The aliases after OF; empty for all tables.
  var tables: [String]
  var policy: LockPolicy
}

/// A SELECT without set operations.
struct SQLSelectCore: Hashable, Sendable {
  var isDistinct = false
  var items: [SQLItem] = []
  var sources: [SQLSource] = []
  var filter: SQLExpression?
  var groupBy: [SQLExpression] = []
  var having: SQLExpression?
}

/// A part of a query after UNION.
struct SQLUnion: Hashable, Sendable {
  var isAll: Bool
  var core: SQLSelectCore
}

/// A query.
struct SQLSelect: Hashable, Sendable {
  var core: SQLSelectCore
  /// The parts after UNION and UNION ALL.
  var unions: [SQLUnion] = []
  var orderBy: [SQLOrder] = []
  var limit: SQLExpression?
  var offset: SQLExpression?
  var locking: SQLLocking?

  init(core: SQLSelectCore) { self.core = core }
}

struct SQLConflict: Hashable, Sendable {
  /// The columns of the target; empty if there is none.
  var columns: [String]
  var predicate: SQLExpression?
  /// The name after ON CONSTRAINT.
  var constraint: String?
  /// nil for DO NOTHING.
  var sets: [SQLAssignment]?
  var filter: SQLExpression?
}

struct SQLAssignment: Hashable, Sendable {
  var column: String
  var value: SQLExpression
}

struct SQLInsert: Hashable, Sendable {
  enum Source: Hashable, Sendable {
    /// The rows of VALUES.
    case rows([[SQLExpression]])
    case select(SQLSelect)
    case defaults
  }
  var table: String
  var alias: String
  var columns: [String]?
  var source: Source
  var conflict: SQLConflict?
  var returning: [SQLItem]
}

struct SQLUpdate: Hashable, Sendable {
  var table: String
  var alias: String
  var sets: [SQLAssignment]
  var filter: SQLExpression?
  var returning: [SQLItem]
}

struct SQLDelete: Hashable, Sendable {
  var table: String
  var alias: String
  var filter: SQLExpression?
  var returning: [SQLItem]
}

/// A column of CREATE TABLE or ADD COLUMN, with its own constraints.
struct SQLColumnDefinition: Hashable, Sendable {
  var name: String
  var type: DeclaredType
  var isNotNull = false
  var isIdentity = false
  var isAlwaysIdentity = false
  var defaultValue: SQLExpression?
}

/// A constraint of CREATE TABLE.
enum SQLConstraint: Hashable, Sendable {
  case unique(name: String?, [String], isPrimary: Bool)
  case foreign(name: String?, [String], table: String, columns: [String], cascades: Bool)
  case check(name: String?, SQLExpression, column: String?)
}

/// A step of the body of a trigger function in PL/pgSQL.
enum TriggerStep: Sendable {
  case run(SQLStatement)
  case when([(condition: SQLExpression, steps: [TriggerStep])], otherwise: [TriggerStep])
  case end
}

/// The isolation levels. READ UNCOMMITTED is READ COMMITTED.
enum IsolationLevel: String, Hashable, Sendable {
  case readCommitted = "read committed"
  case repeatableRead = "repeatable read"
  case serializable = "serializable"
}

/// The modes of a transaction that BEGIN or SET TRANSACTION states.
struct TransactionModes: Hashable, Sendable {
  var isolation: IsolationLevel?
  var isReadOnly: Bool?
}

/// A statement.
indirect enum SQLStatement: Sendable {
  case select(SQLSelect)
  case insert(SQLInsert)
  case update(SQLUpdate)
  case delete(SQLDelete)
  case createTable(String, ifNotExists: Bool, [SQLColumnDefinition], [SQLConstraint])
  case createIndex(String, table: String, [String], isUnique: Bool, predicate: SQLExpression?, ifNotExists: Bool)
  case dropTable(String, ifExists: Bool)
  case dropIndex(String, ifExists: Bool)
  case addColumn(table: String, SQLColumnDefinition)
  case createFunction(String, [TriggerStep], orReplace: Bool)
  case createTrigger(String, table: String, events: [String], columns: [String], function: String)
  case dropTrigger(String, table: String, ifExists: Bool)
  case dropFunction(String, ifExists: Bool)
  case begin(TransactionModes, isStart: Bool)
  case commit
  case rollback
  case savepoint(String)
  case release(String)
  case rollbackTo(String)
  case setTransaction(TransactionModes)
  case setSessionCharacteristics(TransactionModes)
  case set(String, [UInt8]?, isLocal: Bool)
  case show(String)
  case lock([String], TableLockMode, policy: LockPolicy)
  case listen(String)
  case unlisten(String?)
  case notify(String, [UInt8])
  case deallocate(String?)
  case discardAll
  case empty
}

/// The strength of a table lock (PostgreSQL 15, table 13.2).
enum TableLockMode: Int, Hashable, Sendable {
  case accessShare, rowShare, rowExclusive, shareUpdateExclusive, share, shareRowExclusive, exclusive, accessExclusive

  func conflicts(with other: TableLockMode) -> Bool {
    let (low, high) = rawValue <= other.rawValue ? (self, other) : (other, self)
    return switch low {
    case .accessShare: high == .accessExclusive
    case .rowShare: high.rawValue >= Self.exclusive.rawValue
    case .rowExclusive: high.rawValue >= Self.share.rawValue
    case .shareUpdateExclusive: high.rawValue >= Self.shareUpdateExclusive.rawValue
    case .share: high != .share
    default: true
    }
  }
}
