import System

/// Expressions.
extension Analyzer {
  mutating func expression(_ expression: SQLExpression, _ scope: Scope) throws(ServerError) -> Typed {
    switch expression {
    case .column(let table, let name):
      if table == nil, name == "tg_op" { return Typed("$\(Slot.operation)", .text) }
      let (sql, column) = try scope.find(table, name)
      var typed = Typed(sql, column.type.type)
      typed.length = column.type.length
      return typed
    case .null: return Typed("NULL", .unknown)
    case .boolean(let value): return Typed(value ? "1" : "0", .boolean)
    case .integer(let value):
      return Typed(Self.render(.integer(value)), Int32(exactly: value) == nil ? .bigint : .integer)
    case .string(let bytes):
      var typed = Typed(Self.render(.text(bytes)), .unknown)
      typed.literal = bytes
      return typed
    case .parameter(let number): return parameter(number)
    case .not(let operand): return Typed("(NOT \(try condition(operand, scope, "NOT")))", .boolean)
    case .negative(let operand):
      let value = try self.expression(operand, scope)
      guard value.type.isInteger else { throw ServerError("42883", "operator does not exist: - \(value.type.name)") }
      return Typed("(- \(value.sql))", value.type)
    case .binary(let symbol, let a, let b): return try binary(symbol, a, b, scope)
    case .cast(let operand, let type): return try cast(try self.expression(operand, scope), to: type)
    case .function(let name, let arguments, let isStar, let isDistinct):
      return try function(name, arguments, isStar: isStar, isDistinct: isDistinct, scope)
    case .scalar(let query):
      let (sql, columns) = try subquery(query, scope)
      guard columns.count == 1 else { throw ServerError("42601", "subquery must return only one column") }
      return Typed("(\(sql))", columns[0].type.type)
    case .exists(let query): return Typed("EXISTS (\(try subquery(query, scope).sql))", .boolean)
    case .choice(let operand, let branches, let otherwise):
      return try choice(operand, branches, otherwise, scope)
    case .row: throw .unknown("a row value")
    case .defaultValue: throw ServerError("42601", "DEFAULT is not allowed in this context")
    case .isNull, .isDistinct, .between, .inList, .inSelect, .like: return try test(expression, scope)
    }
  }

  private mutating func parameter(_ number: Int) -> Typed {
    while parameters.count < number { parameters.append(.unknown) }
    var typed = Typed("$\(number)", parameters[number - 1])
    if typed.type == .unknown { typed.parameter = number }
    return typed
  }

  /// Tests that return a boolean.
  private mutating func test(_ expression: SQLExpression, _ scope: Scope) throws(ServerError) -> Typed {
    switch expression {
    case .isNull(let operand, let negated):
      let value = try resolved(try self.expression(operand, scope))
      return Typed("(\(value.sql) IS \(negated ? "NOT " : "")NULL)", .boolean)
    case .isDistinct(let a, let b, let negated):
      let (left, right) = try unify(try self.expression(a, scope), try self.expression(b, scope), "=")
      return Typed("(\(left.sql) IS \(negated ? "" : "NOT ")\(right.sql))", .boolean)
    case .between(let operand, let low, let high, let negated):
      let both = SQLExpression.binary("AND", .binary(">=", operand, low), .binary("<=", operand, high))
      return try self.expression(negated ? .not(both) : both, scope)
    case .inList(let operand, let list, let negated):
      var parts: [String] = []
      for item in list { parts.append(try binary("=", operand, item, scope).sql) }
      let any = "(\(parts.joined(separator: " OR ")))"
      return Typed(negated ? "(NOT \(any))" : any, .boolean)
    case .inSelect(let operand, let query, let negated):
      let value = try self.expression(operand, scope)
      let (sql, columns) = try subquery(query, scope)
      guard columns.count == 1 else { throw ServerError("42601", "subquery has too many columns") }
      let (left, _) = try unify(value, Typed("", columns[0].type.type), "=")
      return Typed("(\(left.sql) \(negated ? "NOT " : "")IN (\(sql)))", .boolean)
    case .like(let operand, let pattern, let negated):
      let (left, right) = try unify(try self.expression(operand, scope), try self.expression(pattern, scope), "~~")
      guard left.type.isText else { throw ServerError("42883", "operator does not exist: \(left.type.name) ~~") }
      return Typed("(\(left.sql) \(negated ? "NOT " : "")LIKE \(right.sql) ESCAPE '\\')", .boolean)
    default: throw .unknown("this test")
    }
  }

  private mutating func binary(
    _ symbol: String, _ a: SQLExpression, _ b: SQLExpression, _ scope: Scope
  ) throws(ServerError) -> Typed {
    switch symbol {
    case "AND", "OR":
      return Typed("(\(try condition(a, scope, symbol)) \(symbol) \(try condition(b, scope, symbol)))", .boolean)
    case "||":
      let left = try self.expression(a, scope)
      let right = try self.expression(b, scope)
      if left.type == .bytea || right.type == .bytea { throw .unknown("|| of bytea") }
      // text || anynonarray and its mirror image; a literal without a type is text.
      guard [left, right].contains(where: { $0.type.isText || $0.type == .unknown }) else {
        throw ServerError("42883", "operator does not exist: \(left.type.name) || \(right.type.name)")
      }
      return Typed(
        "(\(try textOf(try resolved(left))) || \(try textOf(try resolved(right))))", .text)
    case "+", "-", "*", "/", "%":
      let (left, right) = try unify(try self.expression(a, scope), try self.expression(b, scope), symbol)
      guard left.type.isInteger, right.type.isInteger else {
        throw left.type.isNumber && right.type.isNumber
          ? .unknown("arithmetic of \(left.type.name)")
          : ServerError("42883", "operator does not exist: \(left.type.name) \(symbol) \(right.type.name)")
      }
      if symbol == "/" || symbol == "%" {
        guard case .integer(let divisor) = b, divisor > 0 else { throw .unknown("a division by no constant") }
      }
      let type = Self.width(left.type) >= Self.width(right.type) ? left.type : right.type
      return Typed("(\(left.sql) \(symbol) \(right.sql))", type)
    default:
      let (left, right) = try unify(try self.expression(a, scope), try self.expression(b, scope), symbol)
      return Typed("(\(left.sql) \(symbol) \(right.sql))", .boolean)
    }
  }

  private mutating func cast(_ value: Typed, to type: DeclaredType) throws(ServerError) -> Typed {
    var result: Typed
    if value.type == .integer, type.type == .boolean {
      result = Typed("(\(value.sql) <> 0)", .boolean)
    } else if value.type == .boolean, type.type == .integer {
      result = Typed(value.sql, .integer)
    } else if value.type == .numeric, type.type == .bigint {
      // Only sums are numeric here, and SQLite's sums of integers are integers.
      result = Typed(value.sql, .bigint)
    } else {
      result = try coerce(
        value, to: type.type, assigned: true,
        or: .unknown("a cast of \(value.type.name) to \(type.type.name)"))
    }
    result.length = type.length
    if let length = type.length { result.sql = "substr(\(result.sql), 1, \(length))" }
    return result
  }

  private mutating func choice(
    _ operand: SQLExpression?, _ branches: [[SQLExpression]], _ otherwise: SQLExpression?, _ scope: Scope
  ) throws(ServerError) -> Typed {
    var conditions: [String] = []
    var results: [Typed] = []
    for branch in branches {
      let test = operand.map { SQLExpression.binary("=", $0, branch[0]) } ?? branch[0]
      conditions.append(try condition(test, scope, "CASE/WHEN"))
      results.append(try expression(branch[1], scope))
    }
    results.append(try otherwise.map { e throws(ServerError) in try expression(e, scope) } ?? Typed("NULL", .unknown))
    let (values, type) = try common(results, "CASE")
    var sql = "CASE"
    for (index, condition) in conditions.enumerated() { sql += " WHEN \(condition) THEN \(values[index].sql)" }
    return Typed("(\(sql) ELSE \(values.last!.sql) END)", type)
  }

  // MARK: Functions

  private mutating func function(
    _ name: String, _ arguments: [SQLExpression], isStar: Bool, isDistinct: Bool, _ scope: Scope
  ) throws(ServerError) -> Typed {
    if ["count", "max", "min", "sum"].contains(name) {
      return try aggregate(name, arguments, isStar: isStar, isDistinct: isDistinct, scope)
    }
    var values: [Typed] = []
    for argument in arguments { values.append(try expression(argument, scope)) }
    let mismatch = ServerError(
      "42883", "function \(name)(\(values.map(\.type.name).joined(separator: ", "))) does not exist")
    switch (name, values.count) {
    case ("coalesce", 1...):
      let (values, type) = try common(values, "COALESCE")
      if values.count == 1 { return values[0] }
      return Typed("coalesce(\(values.map(\.sql).joined(separator: ", ")))", type)
    case ("greatest", 1...), ("least", 1...):
      let (values, type) = try common(values, name.uppercased())
      // SQLite's max and min are NULL if any argument is.
      let list = values.map { "SELECT \($0.sql) AS v" }.joined(separator: " UNION ALL ")
      return Typed("(SELECT \(name == "least" ? "min" : "max")(v) FROM (\(list)))", type)
    case ("nullif", 2):
      let (left, right) = try unify(values[0], values[1], "=")
      return Typed("nullif(\(left.sql), \(right.sql))", left.type)
    case ("lower", 1), ("upper", 1):
      return Typed("\(name)(\(try coerce(values[0], to: .text, or: mismatch).sql))", .text)
    case ("length", 1), ("char_length", 1):
      return Typed("length(\(try coerce(values[0], to: .text, or: mismatch).sql))", .integer)
    case ("octet_length", 1):
      let value = values[0].type == .bytea ? values[0] : try coerce(values[0], to: .text, or: mismatch)
      return Typed("length(CAST(\(value.sql) AS BLOB))", .integer)
    case ("abs", 1) where values[0].type.isInteger: return Typed("abs(\(values[0].sql))", values[0].type)
    case ("now", 0), ("transaction_timestamp", 0): return Typed("$\(Slot.now)", .timestamptz)
    case ("clock_timestamp", 0), ("statement_timestamp", 0): return Typed("$\(Slot.clock)", .timestamptz)
    case ("pg_is_in_recovery", 0): return Typed("$\(Slot.recovery)", .boolean)
    case ("current_setting", 1) where values[0].literal == Array("transaction_read_only".utf8):
      return Typed("$\(Slot.readOnly)", .text)
    case ("current_setting", 1) where values[0].literal == Array("synchronous_commit".utf8): return Typed("'on'", .text)
    // Commits are always synchronous.
    case ("set_config", 3) where values[0].literal == Array("synchronous_commit".utf8): return Typed("'on'", .text)
    default: throw .unknown("no function \(name)/\(arguments.count)")
    }
  }

  private mutating func aggregate(
    _ name: String, _ arguments: [SQLExpression], isStar: Bool, isDistinct: Bool, _ scope: Scope
  ) throws(ServerError) -> Typed {
    guard scope.aggregateDepth == 0 else { throw ServerError("42803", "aggregate function calls cannot be nested") }
    scope.hasAggregates = true
    if name == "count", isStar { return Typed("count(*)", .bigint) }
    guard arguments.count == 1 else { throw ServerError("42883", "function \(name)() does not exist") }
    scope.aggregateDepth += 1
    defer { scope.aggregateDepth -= 1 }
    let argument = try expression(arguments[0], scope)
    let sql = "\(name)(\(isDistinct ? "DISTINCT " : "")\(argument.sql))"
    switch (name, argument.type) {
    case ("count", _): return Typed("\(name)(\(isDistinct ? "DISTINCT " : "")\(try resolved(argument).sql))", .bigint)
    case ("sum", .bigint): return Typed(sql, .numeric)
    case ("sum", .integer), ("sum", .smallint): return Typed(sql, .bigint)
    case ("max", .varchar), ("min", .varchar): return Typed(sql, .text)
    case ("max", let type) where type.isNumber || type.isText || type.isTime: return Typed(sql, type)
    case ("min", let type) where type.isNumber || type.isText || type.isTime: return Typed(sql, type)
    default: throw ServerError("42883", "function \(name)(\(argument.type.name)) does not exist")
    }
  }
}
