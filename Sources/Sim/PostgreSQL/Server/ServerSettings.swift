import System

/// The settings of a session that the services use. Others are unknown.
struct ServerSettings {
  private static let defaults: [(name: String, value: String)] = [
    ("application_name", ""), ("client_encoding", "UTF8"), ("client_min_messages", "notice"), ("datestyle", "ISO, MDY"),
    ("deadlock_timeout", "1s"), ("extra_float_digits", "1"), ("idle_in_transaction_session_timeout", "0"),
    ("integer_datetimes", "on"), ("intervalstyle", "postgres"), ("lock_timeout", "0"),
    ("server_encoding", "UTF8"), ("server_version", "15.0"), ("standard_conforming_strings", "on"),
    ("statement_timeout", "0"), ("synchronous_commit", "on"), ("timezone", "UTC"),
  ]

  private var values: [String: String]
  /// The values before SET LOCAL, until the transaction ends.
  private var former: [String: String] = [:]
  private var localTransaction = 0

  init() { values = Dictionary(uniqueKeysWithValues: Self.defaults.map { ($0.name, $0.value) }) }

  subscript(name: String) -> String? { values[name] }

  /// Takes a parameter of the start-up packet. Returns false if it is unknown.
  mutating func start(_ name: String, _ value: String) -> Bool {
    guard values[name.lowercased()] != nil else { return false }
    values[name.lowercased()] = value
    return true
  }

  /// A time-out in milliseconds; nil if it is off.
  func timeout(_ name: String) -> Int64? {
    let text = values[name]!
    let number = Int64(text.prefix { $0.isWholeNumber }) ?? 0
    let unit = text.drop { $0.isWholeNumber }
    guard number > 0 else { return nil }
    return unit == "s" ? number * 1000 : unit == "min" ? number * 60_000 : number
  }

  /// Runs SET and SHOW, and notes the ends of transactions for SET LOCAL. Returns nil for other
  /// statements.
  mutating func run(_ statement: SQLStatement, _ session: EngineSession) throws -> StatementAnswer? {
    if !former.isEmpty, session.transaction?.id != localTransaction {
      for name in former.keys.sorted() { values[name] = former[name] }
      former = [:]
    }
    switch statement {
    case .show(let name): return StatementAnswer(rows: [[.text(Array(try show(name, session).utf8))]], tag: "SHOW")
    case .set(let name, let value, let isLocal):
      guard session.transaction?.hasFailed != true else { return nil }
      if name == "default_transaction_isolation" || name == "default_transaction_read_only" {
        try setDefault(name, value.map { String(decoding: $0, as: UTF8.self) }, session)
        return StatementAnswer(tag: value == nil ? "RESET" : "SET")
      }
      guard let old = values[name] else { throw unrecognized(name) }
      if name == "client_encoding", let value, String(decoding: value, as: UTF8.self).uppercased() != "UTF8" {
        throw ServerError.unknown("a client encoding other than UTF8")
      }
      if isLocal, let transaction = session.transaction {
        if former[name] == nil { former[name] = old }
        localTransaction = transaction.id
      }
      values[name] = value.map { String(decoding: $0, as: UTF8.self) } ?? Self.defaults.first { $0.name == name }!.value
      return StatementAnswer(tag: value == nil ? "RESET" : "SET")
    case .discardAll:
      self = ServerSettings()
      return nil
    default: return nil
    }
  }

  private func unrecognized(_ name: String) -> ServerError {
    // A name of PostgreSQL that the simulated server does not know would pass there.
    .unknown("the setting \(name)")
  }

  private func setDefault(_ name: String, _ value: String?, _ session: EngineSession) throws {
    if name == "default_transaction_read_only" {
      session.isDefaultReadOnly = ["on", "true", "1", "yes"].contains(value ?? "off")
    } else {
      guard let level = IsolationLevel(rawValue: value ?? "read committed") else {
        throw ServerError("22023", "invalid value for parameter \"\(name)\"")
      }
      session.defaultIsolation = level
    }
  }

  private func show(_ name: String, _ session: EngineSession) throws -> String {
    switch name {
    case "transaction_isolation": return (session.transaction?.isolation ?? session.defaultIsolation).rawValue
    case "default_transaction_isolation": return session.defaultIsolation.rawValue
    case "transaction_read_only": return session.transaction?.isReadOnly ?? session.isDefaultReadOnly ? "on" : "off"
    case "default_transaction_read_only": return session.isDefaultReadOnly ? "on" : "off"
    default:
      guard let value = values[name] else { throw unrecognized(name) }
      return value
    }
  }
}
