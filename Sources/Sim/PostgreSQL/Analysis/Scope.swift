/// A relation whose columns an expression may name.
struct Relation {
  struct Column {
    var name: String
    var type: DeclaredType
    /// The table's OID and the column's number there; 0 for expressions.
    var tableID = 0
    var number = 0
  }

  var alias: String
  var columns: [Column]
  /// If not nil, the columns are parameters of the rendered statement from this number on: the
  /// relation is one row that the engine has in hand.
  var parameters: Int?

  func rendered(_ position: Int) -> String {
    parameters.map { "$\($0 + position)" } ?? "\(alias.quotedName).\(columns[position].name.quotedName)"
  }
}

/// The relations of one query, and those of the queries around it.
final class Scope {
  var relations: [Relation]
  let outer: Scope?
  var aggregateDepth = 0
  var hasAggregates = false
  /// The columns that are used outside aggregates.
  var loose: [SQLExpression] = []

  init(_ relations: [Relation] = [], outer: Scope? = nil) {
    self.relations = relations
    self.outer = outer
  }

  /// Finds a column.
  func find(_ table: String?, _ name: String) throws(ServerError) -> (sql: String, column: Relation.Column) {
    var found: (sql: String, column: Relation.Column)?
    var hasTable = false
    for relation in relations where table == nil || relation.alias == table {
      hasTable = true
      for (position, column) in relation.columns.enumerated() where column.name == name {
        if found != nil { throw ServerError("42702", "column reference \"\(name)\" is ambiguous") }
        found = (relation.rendered(position), column)
      }
    }
    if let found {
      if aggregateDepth == 0 { loose.append(.column(table: table, name: name)) }
      return found
    }
    if let table, hasTable { throw ServerError("42703", "column \(table).\(name) does not exist") }
    if let outer { return try outer.find(table, name) }
    if let table { throw ServerError("42P01", "missing FROM-clause entry for table \"\(table)\"") }
    throw ServerError("42703", "column \"\(name)\" does not exist")
  }
}

extension String {
  /// The name in quotation marks.
  var quotedName: String {
    let escaped = utf8.contains(UInt8(ascii: "\"")) ? replacing("\"", with: "\"\"") : self
    return "\"\(escaped)\""
  }
}

/// The numbers of the parameters of rendered statements. Those of the client come first.
enum Slot {
  static let now = 1001
  static let clock = 1002
  /// The name of the operation that fired a trigger.
  static let operation = 1003
  /// Whether the server is a standby, and whether the transaction is read-only: `on` or `off`.
  static let recovery = 1004
  static let readOnly = 1005
  /// The columns of the row in hand.
  static let row = 1101
  /// The columns of `excluded`.
  static let excluded = 2101
  /// The columns of `old` in a trigger.
  static let old = 3101
  /// The columns of `new` in a trigger.
  static let new = 4101
}
