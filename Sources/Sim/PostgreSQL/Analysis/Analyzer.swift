import System

/// An expression with its type and its text for SQLite.
struct Typed {
  var sql: String
  var type: SQLType
  var length: Int?
  /// The number of a parameter whose type is not known yet.
  var parameter: Int?
  /// The text of a literal whose type is not known yet.
  var literal: [UInt8]?

  init(_ sql: String, _ type: SQLType) {
    self.sql = sql
    self.type = type
  }
}

/// Gives names and types their meaning, as PostgreSQL's parse analysis does (PostgreSQL 15, chapter
/// 10), and renders SQL that SQLite evaluates to the same result.
struct Analyzer {
  let catalog: Catalog
  /// The types of the client's parameters.
  var parameters: [SQLType]
  /// The tables that the statement locks, in order.
  var locks: [(table: Int, mode: TableLockMode)] = []

  init(_ catalog: Catalog, parameters: [SQLType] = []) {
    self.catalog = catalog
    self.parameters = parameters
  }

  func relation(of table: Table, alias: String, parameters: Int? = nil) -> Relation {
    Relation(
      alias: alias,
      columns: table.columns.enumerated().map { position, column in
        Relation.Column(name: column.name, type: column.type, tableID: table.id, number: position + 1)
      }, parameters: parameters)
  }

  // MARK: Coercion

  /// Gives an expression a type. `assigned` allows casts that PostgreSQL makes only in assignments.
  mutating func coerce(
    _ value: Typed, to type: SQLType, assigned: Bool = false, or error: ServerError? = nil
  ) throws(ServerError) -> Typed {
    var result = value
    if let parameter = value.parameter {
      parameters[parameter - 1] = type
      result = Typed(value.sql, type)
    } else if let literal = value.literal {
      result = Typed(Self.render(try TextForm.read(literal, as: type)), type)
    } else if value.type == .unknown || value.type == type || (value.type.isText && type.isText)
      || (value.type.isTime && type.isTime)
    {
      result.type = type
    } else if value.type.isInteger, type.isInteger,
      assigned || type == .bigint || (type == .integer && value.type == .smallint)
    {
      result.type = type
    } else if value.type.isInteger, type == .numeric || type == .double {
      result.type = type
    } else if assigned, type.isText {
      result = Typed(try textOf(value), type)
    } else {
      throw error
        ?? ServerError("42804", "argument must be type \(type.name), not type \(value.type.name)")
    }
    return result
  }

  func textOf(_ value: Typed) throws(ServerError) -> String {
    switch value.type {
    case .text, .varchar, .unknown: return value.sql
    case .bigint, .integer, .smallint: return "CAST(\(value.sql) AS TEXT)"
    case .boolean: return "CASE \(value.sql) WHEN 1 THEN 'true' WHEN 0 THEN 'false' END"
    default: throw .unknown("a cast of \(value.type.name) to text")
    }
  }

  static func render(_ value: StoredValue) -> String {
    switch value {
    case .null: "NULL"
    case .integer(let number): number == .min ? "(-9223372036854775807 - 1)" : "(\(number))"
    case .real(let number): "\(number)"
    case .text(let bytes): "CAST(\(hex(bytes)) AS TEXT)"
    case .bytes(let bytes): hex(bytes)
    }
  }

  private static func hex(_ bytes: [UInt8]) -> String {
    "x'" + bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() + "'"
  }

  /// Resolves what has no type yet as text, as a select list does.
  mutating func resolved(_ value: Typed) throws(ServerError) -> Typed {
    value.type == .unknown ? try coerce(value, to: .text) : value
  }

  /// Brings two operands to a type that an operator takes.
  mutating func unify(_ a: Typed, _ b: Typed, _ what: String) throws(ServerError) -> (Typed, Typed) {
    if a.type == .unknown, b.type == .unknown { return (try coerce(a, to: .text), try coerce(b, to: .text)) }
    // VARCHAR has no operators of its own.
    if a.type == .unknown { return (try coerce(a, to: b.type == .varchar ? .text : b.type), b) }
    if b.type == .unknown { return (a, try coerce(b, to: a.type == .varchar ? .text : a.type)) }
    let fits =
      a.type == b.type || (a.type.isNumber && b.type.isNumber) || (a.type.isText && b.type.isText)
      || (a.type.isTime && b.type.isTime)
    guard fits else {
      throw ServerError("42883", "operator does not exist: \(a.type.name) \(what) \(b.type.name)")
    }
    return (a, b)
  }

  /// The common type of the branches of CASE, COALESCE and UNION (PostgreSQL 15, §10.5).
  mutating func common(_ values: [Typed], _ what: String) throws(ServerError) -> (values: [Typed], type: SQLType) {
    var type = SQLType.unknown
    for value in values where value.type != .unknown {
      if type == .unknown || (type.isInteger && value.type.isInteger && Self.width(value.type) > Self.width(type)) {
        type = value.type
      } else if type == .integer || type == .bigint, value.type == .numeric {
        type = .numeric
      } else if type == .varchar, value.type == .text {
        type = .text
      } else if type != value.type, !(type.isNumber && value.type.isNumber), !(type.isText && value.type.isText) {
        throw ServerError("42804", "\(what) types \(type.name) and \(value.type.name) cannot be matched")
      }
    }
    if type == .unknown { type = .text }
    var result: [Typed] = []
    for value in values { result.append(value.type.isNumber && type.isNumber ? value : try coerce(value, to: type)) }
    return (result, type)
  }

  static func width(_ type: SQLType) -> Int { type == .smallint ? 2 : type == .integer ? 4 : 8 }

  mutating func condition(_ expression: SQLExpression, _ scope: Scope, _ what: String) throws(ServerError) -> String {
    let value = try self.expression(expression, scope)
    return try coerce(
      value, to: .boolean,
      or: ServerError("42804", "argument of \(what) must be type boolean, not type \(value.type.name)")
    ).sql
  }
}
