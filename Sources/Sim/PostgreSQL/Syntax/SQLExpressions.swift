/// Expressions, by precedence (PostgreSQL 15, §4.1.6).
extension SQLParser {
  mutating func expression() throws(ServerError) -> SQLExpression {
    try nested { parser throws(ServerError) in try parser.disjunction() }
  }

  private mutating func disjunction() throws(ServerError) -> SQLExpression {
    var left = try conjunction()
    while take("or") { left = .binary("OR", left, try conjunction()) }
    return left
  }

  private mutating func conjunction() throws(ServerError) -> SQLExpression {
    var left = try negation()
    while take("and") { left = .binary("AND", left, try negation()) }
    return left
  }

  private mutating func negation() throws(ServerError) -> SQLExpression {
    guard take("not") else { return try test() }
    return .not(try nested { parser throws(ServerError) in try parser.negation() })
  }

  /// IS tests, which bind looser than comparisons.
  private mutating func test() throws(ServerError) -> SQLExpression {
    var left = try comparison()
    while take("is") {
      let negated = take("not")
      if take("null") {
        left = .isNull(left, negated: negated)
      } else if take("distinct", "from") {
        left = .isDistinct(left, try comparison(), negated: negated)
      } else if take("true") {
        left = .isDistinct(left, .boolean(true), negated: !negated)
      } else {
        guard take("false") else { throw syntaxError }
        left = .isDistinct(left, .boolean(false), negated: !negated)
      }
    }
    return left
  }

  private mutating func comparison() throws(ServerError) -> SQLExpression {
    let left = try membership()
    for symbol in ["=", "<>", "<=", ">=", "<", ">"] where take(symbol: symbol) {
      return .binary(symbol, left, try membership())
    }
    return left
  }

  private mutating func membership() throws(ServerError) -> SQLExpression {
    let left = try concatenation()
    let negated = peek == .word("not") && [.word("in"), .word("like"), .word("between")].contains(following)
    if negated { advance() }
    if take("like") { return .like(left, try concatenation(), negated: negated) }
    if take("between") {
      let low = try concatenation()
      try expect("and")
      return .between(left, low, try concatenation(), negated: negated)
    }
    guard take("in") else { return left }
    try expect(symbol: "(")
    let isQuery = peek == .word("select")
    let membership: SQLExpression =
      isQuery
      ? .inSelect(left, try select(), negated: negated) : .inList(left, try expressions(), negated: negated)
    try expect(symbol: ")")
    return membership
  }

  private mutating func concatenation() throws(ServerError) -> SQLExpression {
    var left = try sum()
    while take(symbol: "||") { left = .binary("||", left, try sum()) }
    return left
  }

  private mutating func sum() throws(ServerError) -> SQLExpression {
    var left = try product()
    while true {
      if take(symbol: "+") {
        left = .binary("+", left, try product())
      } else if take(symbol: "-") {
        left = .binary("-", left, try product())
      } else {
        return left
      }
    }
  }

  private mutating func product() throws(ServerError) -> SQLExpression {
    var left = try cast()
    while true {
      if take(symbol: "*") {
        left = .binary("*", left, try cast())
      } else if take(symbol: "/") {
        left = .binary("/", left, try cast())
      } else if take(symbol: "%") {
        left = .binary("%", left, try cast())
      } else {
        return left
      }
    }
  }

  private mutating func cast() throws(ServerError) -> SQLExpression {
    if take(symbol: "-") {
      let operand = try nested { parser throws(ServerError) in try parser.cast() }
      if case .integer(let value) = operand, value != .min { return .integer(-value) }
      return .negative(operand)
    }
    var operand = try primary()
    while take(symbol: "::") { operand = .cast(operand, try type()) }
    return operand
  }

  mutating func expressions() throws(ServerError) -> [SQLExpression] {
    var list = [try expression()]
    while take(symbol: ",") { list.append(try expression()) }
    return list
  }

  private mutating func primary() throws(ServerError) -> SQLExpression {
    switch peek {
    case .number(let text):
      guard let value = Int64(text) else { throw .unknown("the number \(text)") }
      advance()
      return .integer(value)
    case .string(let bytes):
      advance()
      return .string(bytes)
    case .parameter(let number):
      advance()
      return .parameter(number)
    case .symbol("("): return try parenthesized()
    case .word(let word):
      if let expression = try keyword(word) { return expression }
      return try reference()
    case .quoted: return try reference()
    default: throw syntaxError
    }
  }

  private mutating func parenthesized() throws(ServerError) -> SQLExpression {
    try expect(symbol: "(")
    if peek == .word("select") {
      let query = try select()
      try expect(symbol: ")")
      return .scalar(query)
    }
    let list = try expressions()
    try expect(symbol: ")")
    return list.count == 1 ? list[0] : .row(list)
  }

  /// Expressions that start with a key word.
  private mutating func keyword(_ word: String) throws(ServerError) -> SQLExpression? {
    switch word {
    case "null", "true", "false":
      advance()
      return word == "null" ? .null : .boolean(word == "true")
    case "exists":
      advance()
      try expect(symbol: "(")
      let query = try select()
      try expect(symbol: ")")
      return .exists(query)
    case "current_timestamp":
      advance()
      return .function("now", [], isStar: false, isDistinct: false)
    case "case": return try choice()
    case "cast" where following == .symbol("("):
      advance()
      try expect(symbol: "(")
      let operand = try expression()
      try expect("as")
      let type = try type()
      try expect(symbol: ")")
      return .cast(operand, type)
    default: return nil
    }
  }

  private mutating func choice() throws(ServerError) -> SQLExpression {
    try expect("case")
    let operand = peek == .word("when") ? nil : try expression()
    var branches: [[SQLExpression]] = []
    while take("when") {
      let condition = try expression()
      try expect("then")
      branches.append([condition, try expression()])
    }
    let otherwise = take("else") ? try expression() : nil
    try expect("end")
    return .choice(operand: operand, branches, otherwise: otherwise)
  }

  /// A column, or a call of a function.
  private mutating func reference() throws(ServerError) -> SQLExpression {
    var first = try name()
    if first == "pg_catalog", take(symbol: ".") { first = try name() }
    if take(symbol: "(") {
      if take(symbol: "*") {
        try expect(symbol: ")")
        return .function(first, [], isStar: true, isDistinct: false)
      }
      let isDistinct = take("distinct")
      let arguments = peek == .symbol(")") ? [] : try expressions()
      try expect(symbol: ")")
      return .function(first, arguments, isStar: false, isDistinct: isDistinct)
    }
    guard take(symbol: ".") else { return .column(table: nil, name: first) }
    return .column(table: first, name: try name())
  }
}
