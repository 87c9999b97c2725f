/// SELECT, INSERT, UPDATE and DELETE.
extension SQLParser {
  mutating func select() throws(ServerError) -> SQLSelect {
    try nested { parser throws(ServerError) in try parser.selectBody() }
  }

  private mutating func selectBody() throws(ServerError) -> SQLSelect {
    var query = SQLSelect(core: try core())
    while take("union") {
      let isAll = take("all")
      query.unions.append(SQLUnion(isAll: isAll, core: try core()))
    }
    if take("order", "by") {
      repeat {
        var order = SQLOrder(expression: try expression(), isDescending: false)
        if take("desc") { order.isDescending = true } else { _ = take("asc") }
        if take("nulls", "first") { order.nullsFirst = true } else if take("nulls", "last") { order.nullsFirst = false }
        query.orderBy.append(order)
      } while take(symbol: ",")
    }
    if take("limit") { query.limit = try expression() }
    if take("offset") { query.offset = try expression() }
    if take("for") { query.locking = try locking() }
    return query
  }

  private mutating func core() throws(ServerError) -> SQLSelectCore {
    try expect("select")
    var core = SQLSelectCore()
    core.isDistinct = take("distinct")
    core.items = try items()
    if take("from") {
      core.sources = [try source()]
      while take(symbol: ",") { core.sources.append(try source()) }
    }
    if take("where") { core.filter = try expression() }
    if take("group", "by") { core.groupBy = try expressions() }
    if take("having") { core.having = try expression() }
    return core
  }

  private mutating func locking() throws(ServerError) -> SQLLocking {
    let mode: RowLockMode
    if take("update") {
      mode = .update
    } else if take("no", "key", "update") {
      mode = .noKeyUpdate
    } else if take("share") {
      mode = .share
    } else {
      try expect("key", "share")
      mode = .keyShare
    }
    var locking = SQLLocking(mode: mode, tables: [], policy: .wait)
    if take("of") {
      locking.tables = [try name()]
      while take(symbol: ",") { locking.tables.append(try name()) }
    }
    if take("nowait") { locking.policy = .noWait } else if take("skip", "locked") { locking.policy = .skip }
    return locking
  }

  mutating func items() throws(ServerError) -> [SQLItem] {
    var items: [SQLItem] = []
    repeat {
      if take(symbol: "*") {
        items.append(SQLItem())
        continue
      }
      if case .word(let table) = peek, following == .symbol("."), tokensAfter(2) == .symbol("*") {
        for _ in 0..<3 { advance() }
        items.append(SQLItem(starTable: table))
        continue
      }
      let expression = try expression()
      items.append(SQLItem(expression: expression, name: try optionalAlias()))
    } while take(symbol: ",")
    return items
  }

  private mutating func source() throws(ServerError) -> SQLSource {
    var left = try singleSource()
    while true {
      if take("cross", "join") {
        left = .join(left, try singleSource(), kind: "CROSS JOIN", on: nil)
      } else if take("join") || take("inner", "join") {
        left = try joined(left, "JOIN")
      } else if take("left", "join") || take("left", "outer", "join") {
        left = try joined(left, "LEFT JOIN")
      } else {
        return left
      }
    }
  }

  private mutating func joined(_ left: SQLSource, _ kind: String) throws(ServerError) -> SQLSource {
    let right = try singleSource()
    try expect("on")
    return .join(left, right, kind: kind, on: try expression())
  }

  private mutating func singleSource() throws(ServerError) -> SQLSource {
    if take(symbol: "(") {
      let query = try select()
      try expect(symbol: ")")
      guard let alias = try optionalAlias() else {
        throw ServerError("42601", "subquery in FROM must have an alias")
      }
      return .subquery(query, alias: alias)
    }
    let table = try tableName()
    return .table(table, alias: try optionalAlias() ?? table)
  }

  // MARK: Changes

  private mutating func returning() throws(ServerError) -> [SQLItem] { take("returning") ? try items() : [] }

  mutating func insert() throws(ServerError) -> SQLInsert {
    try expect("insert", "into")
    let table = try tableName()
    let alias = take("as") ? try name() : table
    let columns = peek == .symbol("(") ? try names() : nil
    var insert = SQLInsert(table: table, alias: alias, columns: columns, source: .defaults, returning: [])
    if take("default") {
      try expect("values")
    } else if take("values") {
      var rows: [[SQLExpression]] = []
      repeat {
        try expect(symbol: "(")
        rows.append([try valueOrDefault()])
        while take(symbol: ",") { rows[rows.count - 1].append(try valueOrDefault()) }
        try expect(symbol: ")")
      } while take(symbol: ",")
      insert.source = .rows(rows)
    } else {
      insert.source = .select(try select())
    }
    if take("on", "conflict") { insert.conflict = try conflict() }
    insert.returning = try returning()
    return insert
  }

  private mutating func valueOrDefault() throws(ServerError) -> SQLExpression {
    take("default") ? .defaultValue : try expression()
  }

  private mutating func conflict() throws(ServerError) -> SQLConflict {
    var conflict = SQLConflict(columns: [])
    if peek == .symbol("(") {
      conflict.columns = try names()
      if take("where") { conflict.predicate = try expression() }
    } else if take("on", "constraint") {
      conflict.constraint = try name()
    }
    try expect("do")
    if take("nothing") { return conflict }
    try expect("update", "set")
    conflict.sets = try assignments()
    if take("where") { conflict.filter = try expression() }
    return conflict
  }

  private mutating func assignments() throws(ServerError) -> [SQLAssignment] {
    var sets: [SQLAssignment] = []
    repeat {
      let column = try name()
      try expect(symbol: "=")
      sets.append(SQLAssignment(column: column, value: try valueOrDefault()))
    } while take(symbol: ",")
    return sets
  }

  mutating func update() throws(ServerError) -> SQLUpdate {
    try expect("update")
    _ = take("only")
    let table = try tableName()
    let alias = peek == .word("set") ? table : try optionalAlias() ?? table
    try expect("set")
    var update = SQLUpdate(table: table, alias: alias, sets: try assignments(), returning: [])
    if peek == .word("from") { throw .unknown("UPDATE … FROM") }
    if take("where") { update.filter = try expression() }
    update.returning = try returning()
    return update
  }

  mutating func delete() throws(ServerError) -> SQLDelete {
    try expect("delete", "from")
    _ = take("only")
    let table = try tableName()
    var delete = SQLDelete(table: table, alias: try optionalAlias() ?? table, returning: [])
    if peek == .word("using") { throw .unknown("DELETE … USING") }
    if take("where") { delete.filter = try expression() }
    delete.returning = try returning()
    return delete
  }
}
