/// A token of SQL (PostgreSQL 15, §4.1).
enum SQLToken: Hashable {
  /// An identifier or a key word, folded to lower case.
  case word(String)
  case quoted(String)
  case string([UInt8])
  case number(String)
  case parameter(Int)
  case symbol(String)
  case end
}

/// Splits SQL into tokens.
struct SQLLexer {
  private let bytes: [UInt8]
  private var index = 0

  init(_ text: [UInt8]) { bytes = text }

  /// Returns the tokens, and the offset at which each starts.
  static func tokens(_ text: [UInt8]) throws(ServerError) -> (tokens: [SQLToken], offsets: [Int]) {
    var lexer = SQLLexer(text)
    var tokens: [SQLToken] = []
    var offsets: [Int] = []
    while true {
      try lexer.skipSpace()
      offsets.append(lexer.index)
      let token = try lexer.next()
      tokens.append(token)
      if token == .end { return (tokens, offsets) }
    }
  }

  private func peek(_ offset: Int = 0) -> UInt8 { index + offset < bytes.count ? bytes[index + offset] : 0 }

  private mutating func next() throws(ServerError) -> SQLToken {
    guard index < bytes.count else { return .end }
    let byte = peek()
    switch byte {
    case UInt8(ascii: "'"): return .string(try quoted(byte))
    case UInt8(ascii: "\""): return .quoted(String(decoding: try quoted(byte), as: UTF8.self))
    case UInt8(ascii: "0")...UInt8(ascii: "9"): return .number(take { $0.isDigit || $0 == UInt8(ascii: ".") })
    case UInt8(ascii: "$"):
      if peek(1).isDigit {
        index += 1
        guard let number = Int(take { $0.isDigit }), (1...1000).contains(number) else {
          throw ServerError("42P02", "there is no such parameter")
        }
        return .parameter(number)
      }
      return .string(try dollarQuoted())
    default: break
    }
    if byte.isWordStart { return .word(take { $0.isWordStart || $0.isDigit || $0 == UInt8(ascii: "$") }.lowercased()) }
    for symbol in ["<>", "!=", "<=", ">=", "||", "::", ":="] where starts(with: symbol) {
      index += 2
      return .symbol(symbol == "!=" ? "<>" : symbol)
    }
    guard "()[],;.+-*/%<>=:".utf8.contains(byte) else {
      throw ServerError("42601", "syntax error at or near \"\(Character(UnicodeScalar(byte)))\"")
    }
    index += 1
    return .symbol(String(UnicodeScalar(byte)))
  }

  private func starts(with text: String) -> Bool { bytes[index...].starts(with: text.utf8) }

  private mutating func take(while condition: (UInt8) -> Bool) -> String {
    let start = index
    while index < bytes.count, condition(bytes[index]) { index += 1 }
    return String(decoding: bytes[start..<index], as: UTF8.self)
  }

  private mutating func skipSpace() throws(ServerError) {
    while index < bytes.count {
      if peek() == UInt8(ascii: " ") || (9...13).contains(peek()) {
        index += 1
      } else if starts(with: "--") {
        while index < bytes.count, peek() != 10 { index += 1 }
      } else if starts(with: "/*") {
        while index < bytes.count, !starts(with: "*/") { index += 1 }
        guard index < bytes.count else { throw ServerError("42601", "unterminated /* comment") }
        index += 2
      } else {
        return
      }
    }
  }

  private mutating func quoted(_ quote: UInt8) throws(ServerError) -> [UInt8] {
    var result: [UInt8] = []
    index += 1
    while index < bytes.count {
      if peek() == quote {
        index += 1
        guard peek() == quote else { return result }
      }
      result.append(peek())
      index += 1
    }
    throw ServerError("42601", "unterminated quoted string")
  }

  private mutating func dollarQuoted() throws(ServerError) -> [UInt8] {
    index += 1
    let tag = take { $0.isWordStart || $0.isDigit }
    guard peek() == UInt8(ascii: "$") else { throw ServerError("42601", "syntax error at or near \"$\"") }
    index += 1
    let start = index
    let mark = Array("$\(tag)$".utf8)
    while index < bytes.count {
      if bytes[index...].starts(with: mark) {
        defer { index += mark.count }
        return Array(bytes[start..<index])
      }
      index += 1
    }
    throw ServerError("42601", "unterminated dollar-quoted string")
  }
}

extension UInt8 {
  fileprivate var isDigit: Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) }
  fileprivate var isWordStart: Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(self | 0x20) || self == UInt8(ascii: "_") || self >= 0x80
  }
}
