/// Reads statements. It knows the parts of SQL that the services use, and refuses all else.
struct SQLParser {
  /// The maximum depth of expressions and subqueries.
  private static let maximumDepth = 50

  private let text: [UInt8]
  private let tokens: [SQLToken]
  private let offsets: [Int]
  private var index = 0
  private var depth = 0

  init(_ text: [UInt8]) throws(ServerError) {
    self.text = text
    (tokens, offsets) = try SQLLexer.tokens(text)
  }

  /// A statement and its text.
  struct Parsed: Sendable {
    var statement: SQLStatement
    var text: [UInt8]
  }

  /// Parses any number of statements.
  static func statements(_ text: [UInt8]) throws(ServerError) -> [Parsed] {
    var parser = try SQLParser(text)
    var statements: [Parsed] = []
    while parser.peek != .end {
      if parser.take(symbol: ";") { continue }
      let start = parser.offsets[parser.index]
      let statement = try parser.statement()
      statements.append(Parsed(statement: statement, text: Array(text[start..<parser.offsets[parser.index]])))
      if parser.peek != .end { try parser.expect(symbol: ";") }
    }
    return statements
  }

  /// Parses the one statement of a Parse message.
  static func statement(_ text: [UInt8]) throws(ServerError) -> Parsed {
    let statements = try statements(text)
    guard statements.count < 2 else {
      throw ServerError("42601", "cannot insert multiple commands into a prepared statement")
    }
    return statements.first ?? Parsed(statement: .empty, text: [])
  }

  // MARK: Tokens

  var peek: SQLToken { tokens[index] }
  var following: SQLToken { index + 1 < tokens.count ? tokens[index + 1] : .end }

  func tokensAfter(_ offset: Int) -> SQLToken { index + offset < tokens.count ? tokens[index + offset] : .end }

  mutating func advance() { if index < tokens.count - 1 { index += 1 } }

  var syntaxError: ServerError {
    switch peek {
    case .word(let text), .quoted(let text), .number(let text), .symbol(let text):
      ServerError("42601", "syntax error at or near \"\(text)\"")
    case .string(let bytes):
      ServerError("42601", "syntax error at or near \"'\(String(decoding: bytes, as: UTF8.self))'\"")
    case .parameter(let number): ServerError("42601", "syntax error at or near \"$\(number)\"")
    case .end: ServerError("42601", "syntax error at end of input")
    }
  }

  mutating func take(_ words: String...) -> Bool {
    for (offset, word) in words.enumerated() {
      guard index + offset < tokens.count, tokens[index + offset] == .word(word) else { return false }
    }
    index += words.count
    return true
  }

  mutating func take(symbol: String) -> Bool {
    guard peek == .symbol(symbol) else { return false }
    advance()
    return true
  }

  mutating func expect(_ words: String...) throws(ServerError) {
    for word in words { guard take(word) else { throw syntaxError } }
  }

  mutating func expect(symbol: String) throws(ServerError) {
    guard take(symbol: symbol) else { throw syntaxError }
  }

  /// Key words that are no names of columns or tables, and no aliases without AS.
  private static let reserved: Set<String> = [
    "all", "and", "as", "asc", "between", "case", "check", "cross", "default", "desc", "distinct", "else", "end",
    "except", "exists", "for", "foreign", "from", "group", "having", "in", "inner", "into", "is", "join", "left",
    "like",
    "limit", "not", "null", "offset", "on", "or", "order", "primary", "references", "returning", "select", "set",
    "then", "union", "unique", "using", "values", "when", "where", "with", "true", "false", "do",
  ]

  mutating func name() throws(ServerError) -> String {
    switch peek {
    case .word(let word) where !Self.reserved.contains(word):
      advance()
      return word
    case .quoted(let name):
      advance()
      return name
    default: throw syntaxError
    }
  }

  /// A name that a schema may precede; only `public` is known.
  mutating func tableName() throws(ServerError) -> String {
    let first = try name()
    guard first == "public", take(symbol: ".") else { return first }
    return try name()
  }

  mutating func optionalAlias() throws(ServerError) -> String? {
    if take("as") { return try name() }
    switch peek {
    case .quoted: return try name()
    case .word(let word) where !Self.reserved.contains(word): return try name()
    default: return nil
    }
  }

  mutating func names() throws(ServerError) -> [String] {
    try expect(symbol: "(")
    var names = [try name()]
    while take(symbol: ",") { names.append(try name()) }
    try expect(symbol: ")")
    return names
  }

  mutating func number() throws(ServerError) -> Int {
    guard case .number(let text) = peek, let number = Int(text) else { throw syntaxError }
    advance()
    return number
  }

  mutating func string() throws(ServerError) -> [UInt8] {
    guard case .string(let bytes) = peek else { throw syntaxError }
    advance()
    return bytes
  }

  // MARK: Types

  mutating func type() throws(ServerError) -> DeclaredType {
    let word = try name()
    switch word {
    case "bigint", "int8": return DeclaredType(type: .bigint)
    case "int", "integer", "int4": return DeclaredType(type: .integer)
    case "smallint", "int2": return DeclaredType(type: .smallint)
    case "boolean", "bool": return DeclaredType(type: .boolean)
    case "bytea": return DeclaredType(type: .bytea)
    case "text": return DeclaredType(type: .text)
    case "timestamptz": return DeclaredType(type: .timestamptz)
    case "timestamp":
      if take("with", "time", "zone") { return DeclaredType(type: .timestamptz) }
      _ = take("without", "time", "zone")
      return DeclaredType(type: .timestamp)
    case "varchar": return DeclaredType(type: .varchar, length: try length())
    case "character":
      try expect("varying")
      return DeclaredType(type: .varchar, length: try length())
    default: throw .unknown("no type \(word)")
    }
  }

  private mutating func length() throws(ServerError) -> Int? {
    guard take(symbol: "(") else { return nil }
    let length = try number()
    try expect(symbol: ")")
    return length
  }

  /// Runs `body` one level deeper.
  mutating func nested<T>(_ body: (inout SQLParser) throws(ServerError) -> T) throws(ServerError) -> T {
    depth += 1
    guard depth <= Self.maximumDepth else { throw ServerError("54001", "stack depth limit exceeded") }
    defer { depth -= 1 }
    return try body(&self)
  }
}
