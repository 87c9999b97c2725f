/// The statements, and those that control transactions and sessions.
extension SQLParser {
  mutating func statement() throws(ServerError) -> SQLStatement {
    guard case .word(let word) = peek else { throw syntaxError }
    switch word {
    case "select": return .select(try select())
    case "insert": return .insert(try insert())
    case "update": return .update(try update())
    case "delete": return .delete(try delete())
    case "create", "drop", "alter": return try definition()
    case "begin", "start":
      advance()
      if word == "start" { try expect("transaction") } else { _ = take("transaction") || take("work") }
      return .begin(try modes(), isStart: word == "start")
    case "commit", "end":
      advance()
      _ = take("transaction") || take("work")
      return .commit
    case "rollback", "abort": return try rollback()
    case "savepoint":
      advance()
      return .savepoint(try name())
    case "release":
      advance()
      _ = take("savepoint")
      return .release(try name())
    case "set": return try set()
    case "reset", "show":
      advance()
      return word == "show" ? .show(try setting()) : .set(try setting(), nil, isLocal: false)
    case "lock": return try lock()
    default: return try notification(word)
    }
  }

  private mutating func notification(_ word: String) throws(ServerError) -> SQLStatement {
    switch word {
    case "listen":
      advance()
      return .listen(try name())
    case "unlisten":
      advance()
      return take(symbol: "*") ? .unlisten(nil) : .unlisten(try name())
    case "notify":
      advance()
      let channel = try name()
      return .notify(channel, take(symbol: ",") ? try string() : [])
    case "deallocate":
      advance()
      _ = take("prepare")
      return take("all") ? .deallocate(nil) : .deallocate(try name())
    case "discard":
      advance()
      try expect("all")
      return .discardAll
    default: throw .unknown("no statement \(word)")
    }
  }

  private mutating func rollback() throws(ServerError) -> SQLStatement {
    advance()
    _ = take("transaction") || take("work")
    guard take("to") else { return .rollback }
    _ = take("savepoint")
    return .rollbackTo(try name())
  }

  private mutating func modes() throws(ServerError) -> TransactionModes {
    var modes = TransactionModes()
    while true {
      if take("isolation", "level") {
        if take("serializable") {
          modes.isolation = .serializable
        } else if take("repeatable", "read") {
          modes.isolation = .repeatableRead
        } else {
          guard take("read", "committed") || take("read", "uncommitted") else { throw syntaxError }
          modes.isolation = .readCommitted
        }
      } else if take("read", "only") {
        modes.isReadOnly = true
      } else if take("read", "write") {
        modes.isReadOnly = false
      } else if !take(symbol: ",") {
        return modes
      }
    }
  }

  private mutating func setting() throws(ServerError) -> String {
    var setting = try name()
    while take(symbol: ".") { setting += "." + (try name()) }
    if setting == "transaction", take("isolation", "level") { return "transaction_isolation" }
    return setting
  }

  private mutating func set() throws(ServerError) -> SQLStatement {
    try expect("set")
    if take("transaction") { return .setTransaction(try modes()) }
    if take("session", "characteristics", "as", "transaction") { return .setSessionCharacteristics(try modes()) }
    let isLocal = take("local")
    if !isLocal { _ = take("session") }
    if take("time") {
      try expect("zone")
      return .set("timezone", try settingValue(), isLocal: isLocal)
    }
    let name = try setting()
    guard take("to") || take(symbol: "=") else { throw syntaxError }
    return .set(name, try settingValue(), isLocal: isLocal)
  }

  private mutating func settingValue() throws(ServerError) -> [UInt8]? {
    if take("default") { return nil }
    let sign = take(symbol: "-") ? "-" : ""
    defer { advance() }
    switch peek {
    case .word(let text), .quoted(let text), .number(let text): return Array((sign + text).utf8)
    case .string(let bytes): return bytes
    default: throw syntaxError
    }
  }

  private mutating func lock() throws(ServerError) -> SQLStatement {
    try expect("lock")
    _ = take("table")
    var tables = [try tableName()]
    while take(symbol: ",") { tables.append(try tableName()) }
    var mode = TableLockMode.accessExclusive
    if take("in") {
      if take("access", "share") {
        mode = .accessShare
      } else if take("row", "share") {
        mode = .rowShare
      } else if take("row", "exclusive") {
        mode = .rowExclusive
      } else if take("share", "update", "exclusive") {
        mode = .shareUpdateExclusive
      } else if take("share", "row", "exclusive") {
        mode = .shareRowExclusive
      } else if take("share") {
        mode = .share
      } else if take("exclusive") {
        mode = .exclusive
      } else {
        try expect("access", "exclusive")
      }
      try expect("mode")
    }
    return .lock(tables, mode, policy: take("nowait") ? .noWait : .wait)
  }
}
