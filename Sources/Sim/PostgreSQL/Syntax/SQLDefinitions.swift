/// CREATE, ALTER and DROP, and the part of PL/pgSQL that the services' triggers use.
extension SQLParser {
  mutating func definition() throws(ServerError) -> SQLStatement {
    if take("create") { return try create() }
    if take("drop") { return try drop() }
    try expect("alter", "table")
    let table = try tableName()
    try expect("add")
    _ = take("column")
    var constraints: [SQLConstraint] = []
    let column = try column(&constraints)
    guard constraints.isEmpty else { throw .unknown("ADD COLUMN with a constraint") }
    return .addColumn(table: table, column)
  }

  private mutating func create() throws(ServerError) -> SQLStatement {
    let orReplace = take("or", "replace")
    if take("function") { return try function(orReplace: orReplace) }
    if take("trigger") { return try trigger() }
    let isUnlogged = take("unlogged")
    if take("table") { return try table() }
    guard !isUnlogged else { throw syntaxError }
    let isUnique = take("unique")
    try expect("index")
    let ifNotExists = take("if", "not", "exists")
    let index = try name()
    try expect("on")
    let table = try tableName()
    try expect(symbol: "(")
    var columns: [String] = []
    repeat {
      columns.append(try name())
      if take("collate") { _ = try name() }
      _ = take("desc") || take("asc")
    } while take(symbol: ",")
    try expect(symbol: ")")
    let predicate = take("where") ? try expression() : nil
    return .createIndex(
      index, table: table, columns, isUnique: isUnique, predicate: predicate, ifNotExists: ifNotExists)
  }

  private mutating func drop() throws(ServerError) -> SQLStatement {
    guard case .word(let kind) = peek, ["table", "index", "trigger", "function"].contains(kind) else {
      throw syntaxError
    }
    advance()
    let ifExists = take("if", "exists")
    let name = try tableName()
    switch kind {
    case "table": return .dropTable(name, ifExists: ifExists)
    case "index": return .dropIndex(name, ifExists: ifExists)
    case "trigger":
      try expect("on")
      return .dropTrigger(name, table: try tableName(), ifExists: ifExists)
    default:
      if take(symbol: "(") { try expect(symbol: ")") }
      return .dropFunction(name, ifExists: ifExists)
    }
  }

  private mutating func table() throws(ServerError) -> SQLStatement {
    let ifNotExists = take("if", "not", "exists")
    let table = try tableName()
    var columns: [SQLColumnDefinition] = []
    var constraints: [SQLConstraint] = []
    try expect(symbol: "(")
    repeat {
      if let constraint = try tableConstraint() {
        constraints.append(constraint)
      } else {
        columns.append(try column(&constraints))
      }
    } while take(symbol: ",")
    try expect(symbol: ")")
    return .createTable(table, ifNotExists: ifNotExists, columns, constraints)
  }

  private mutating func tableConstraint() throws(ServerError) -> SQLConstraint? {
    let name = take("constraint") ? try name() : nil
    if take("primary", "key") { return .unique(name: name, try names(), isPrimary: true) }
    if take("unique") { return .unique(name: name, try names(), isPrimary: false) }
    if take("foreign", "key") {
      let columns = try names()
      try expect("references")
      return try reference(name, columns)
    }
    if take("check") {
      try expect(symbol: "(")
      let condition = try expression()
      try expect(symbol: ")")
      return .check(name: name, condition, column: nil)
    }
    if name != nil { throw syntaxError }
    return nil
  }

  private mutating func reference(_ name: String?, _ columns: [String]) throws(ServerError) -> SQLConstraint {
    let table = try tableName()
    let keys = peek == .symbol("(") ? try names() : []
    var cascades = false
    if take("on", "delete") {
      if take("cascade") { cascades = true } else if !take("restrict") { try expect("no", "action") }
    }
    return .foreign(name: name, columns, table: table, columns: keys, cascades: cascades)
  }

  private mutating func column(_ constraints: inout [SQLConstraint]) throws(ServerError) -> SQLColumnDefinition {
    let columnName = try name()
    var column = SQLColumnDefinition(name: columnName, type: try type())
    while true {
      let constraint = take("constraint") ? try name() : nil
      if take("not", "null") {
        column.isNotNull = true
      } else if take("null") {
        continue
      } else if take("primary", "key") {
        constraints.append(.unique(name: constraint, [column.name], isPrimary: true))
      } else if take("unique") {
        constraints.append(.unique(name: constraint, [column.name], isPrimary: false))
      } else if take("references") {
        constraints.append(try reference(constraint, [column.name]))
      } else if take("check") {
        try expect(symbol: "(")
        constraints.append(.check(name: constraint, try expression(), column: column.name))
        try expect(symbol: ")")
      } else if take("collate") {
        guard try name() == "C" else { throw .unknown("a collation other than \"C\"") }
      } else if take("default") {
        column.defaultValue = try expression()
      } else if take("generated") {
        column.isAlwaysIdentity = take("always")
        if !column.isAlwaysIdentity { try expect("by", "default") }
        try expect("as", "identity")
        column.isIdentity = true
        column.isNotNull = true
      } else {
        return column
      }
    }
  }

  // MARK: Triggers

  private mutating func trigger() throws(ServerError) -> SQLStatement {
    let trigger = try name()
    try expect("after")
    var events: [String] = []
    var columns: [String] = []
    repeat {
      if take("insert") {
        events.append("INSERT")
      } else if take("delete") {
        events.append("DELETE")
      } else {
        try expect("update")
        events.append("UPDATE")
        if take("of") {
          repeat { columns.append(try name()) } while take(symbol: ",")
        }
      }
    } while take("or")
    try expect("on")
    let table = try tableName()
    try expect("for", "each", "row", "execute")
    guard take("function") || take("procedure") else { throw syntaxError }
    let function = try tableName()
    try expect(symbol: "(")
    try expect(symbol: ")")
    return .createTrigger(trigger, table: table, events: events, columns: columns, function: function)
  }

  private mutating func function(orReplace: Bool) throws(ServerError) -> SQLStatement {
    let function = try tableName()
    try expect(symbol: "(")
    try expect(symbol: ")")
    try expect("returns", "trigger")
    var body: [UInt8]?
    var isKnown = false
    while body == nil || !isKnown {
      if take("language") {
        isKnown = take("plpgsql")
        guard isKnown else { throw .unknown("a function that is not in PL/pgSQL") }
      } else {
        try expect("as")
        body = try string()
      }
    }
    var parser = try SQLParser(body!)
    try parser.expect("begin")
    let steps = try parser.steps()
    try parser.expect("end")
    _ = parser.take(symbol: ";")
    guard parser.peek == .end else { throw parser.syntaxError }
    return .createFunction(function, steps, orReplace: orReplace)
  }

  private mutating func steps() throws(ServerError) -> [TriggerStep] {
    var steps: [TriggerStep] = []
    while ![.word("end"), .word("else"), .word("elsif"), .end].contains(peek) {
      if take("return") {
        guard take("null") || take("new") || take("old") else { throw syntaxError }
        steps.append(.end)
      } else if take("if") {
        steps.append(try nested { parser throws(ServerError) in try parser.conditional() })
      } else {
        steps.append(.run(try statement()))
      }
      try expect(symbol: ";")
    }
    return steps
  }

  private mutating func conditional() throws(ServerError) -> TriggerStep {
    var branches: [(condition: SQLExpression, steps: [TriggerStep])] = []
    repeat {
      let condition = try expression()
      try expect("then")
      branches.append((condition, try steps()))
    } while take("elsif")
    let otherwise = take("else") ? try steps() : []
    try expect("end", "if")
    return .when(branches, otherwise: otherwise)
  }
}
