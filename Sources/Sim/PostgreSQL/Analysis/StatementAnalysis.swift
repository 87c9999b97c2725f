extension Analyzer {
  /// Makes the plan of a statement. `variables` are the rows `old` and `new` of a trigger.
  static func prepare(
    _ statement: SQLStatement, _ catalog: Catalog, parameters: [SQLType] = [], variables: Scope? = nil
  ) throws(ServerError) -> PreparedStatement {
    var analyzer = Analyzer(catalog, parameters: parameters)
    let (plan, columns) = try analyzer.plan(statement, variables)
    if let number = analyzer.parameters.firstIndex(of: .unknown) {
      throw ServerError("42P18", "could not determine data type of parameter $\(number + 1)")
    }
    return PreparedStatement(
      statement: statement, plan: plan, parameters: analyzer.parameters, columns: columns, locks: analyzer.locks,
      catalogVersion: catalog.version)
  }

  private mutating func plan(
    _ statement: SQLStatement, _ variables: Scope?
  ) throws(ServerError) -> (Plan, [ResultColumn]?) {
    switch statement {
    case .select(let query):
      let (plan, columns) = try select(query, variables)
      return (.select(plan), columns)
    case .insert(let insert):
      let (plan, columns) = try self.insert(insert, variables)
      return (.insert(plan), columns)
    case .update(let update):
      let (plan, columns) = try self.update(update, variables)
      return (.update(plan), columns)
    case .delete(let delete):
      let (plan, columns) = try self.delete(delete, variables)
      return (.delete(plan), columns)
    case .show(let name): return (.command, [ResultColumn(name: name, type: DeclaredType(type: .text))])
    case .lock(let names, let mode, _):
      for name in names { locks.append((try catalog.table(name).id, mode)) }
      return (.command, nil)
    default: return (.command, nil)
    }
  }

  // MARK: SELECT

  /// The functions that act on the server, with the types of their arguments and their result.
  static let calls: [String: (arguments: [SQLType], result: SQLType)] = [
    "pg_advisory_lock": ([.bigint], .void), "pg_advisory_xact_lock": ([.bigint], .void),
    "pg_try_advisory_lock": ([.bigint], .boolean), "pg_try_advisory_xact_lock": ([.bigint], .boolean),
    "pg_advisory_unlock": ([.bigint], .boolean), "pg_advisory_unlock_all": ([], .void),
    "pg_notify": ([.text, .text], .void), "pg_backend_pid": ([], .integer),
    "version": ([], .text),
  ]

  private mutating func select(
    _ query: SQLSelect, _ variables: Scope?
  ) throws(ServerError) -> (SelectPlan, [ResultColumn]) {
    if let call = try call(query) { return call }
    guard let locking = query.locking else {
      var unlimited = query
      unlimited.limit = nil
      unlimited.offset = nil
      // The limit is checked apart, since SQLite reads a negative one as none.
      let result = try self.query(query, outer: variables)
      let bounds = try self.bounds(query)
      return (SelectPlan(sql: result.sql, bounds: bounds), result.columns)
    }
    guard query.unions.isEmpty, query.core.sources.count == 1, case .table(let name, let alias) = query.core.sources[0],
      query.core.groupBy.isEmpty, !query.core.isDistinct, query.core.having == nil
    else { throw .unknown("a row lock in a query of more than one table") }
    guard locking.tables.allSatisfy({ $0 == alias }) else {
      throw ServerError("42P01", "relation in FOR UPDATE clause not found in FROM clause")
    }
    let scope = Scope(outer: variables)
    let first = locks.count
    var result = try core(query.core, scope, hidden: "\(alias.quotedName)._rowid_")
    locks[first].mode = .rowShare
    guard !scope.hasAggregates else {
      throw ServerError("0A000", "FOR UPDATE is not allowed with aggregate functions")
    }
    result.sql += try order(query, result.columns, scope)
    let row = Scope([relation(of: try catalog.table(name), alias: alias, parameters: Slot.row)], outer: variables)
    let recheck =
      "SELECT \(try items(query.core.items, row).0.joined(separator: ", "))" + (try filterText(query.core.filter, row))
    let plan = SelectPlan(
      sql: result.sql,
      locking: RowLocking(
        table: name, mode: locking.mode, policy: locking.policy, recheck: recheck, isOrdered: !query.orderBy.isEmpty),
      bounds: try bounds(query))
    return (plan, result.columns)
  }

  private mutating func bounds(_ query: SQLSelect) throws(ServerError) -> String? {
    guard query.limit != nil || query.offset != nil else { return nil }
    let limit = try query.limit.map { e throws(ServerError) in try coerce(try expression(e, Scope()), to: .bigint).sql }
    let offset = try query.offset.map { e throws(ServerError) in try coerce(try expression(e, Scope()), to: .bigint).sql
    }
    return "SELECT \(limit ?? "NULL"), \(offset ?? "NULL")"
  }

  private mutating func call(_ query: SQLSelect) throws(ServerError) -> (SelectPlan, [ResultColumn])? {
    guard query.core.sources.isEmpty, query.core.items.count == 1,
      case .function(let name, let arguments, _, _)? = query.core.items[0].expression, let call = Self.calls[name]
    else { return nil }
    guard arguments.count == call.arguments.count else {
      throw ServerError("42883", "function \(name)() does not exist")
    }
    var values: [String] = []
    for (argument, type) in zip(arguments, call.arguments) {
      values.append(try coerce(try expression(argument, Scope()), to: type).sql)
    }
    let column = ResultColumn(name: query.core.items[0].name ?? name, type: DeclaredType(type: call.result))
    let sql = "SELECT \(values.isEmpty ? "1" : values.joined(separator: ", "))"
    return (SelectPlan(sql: "", call: ServerCall(name: name, arguments: sql)), [column])
  }

  // MARK: Changes

  private mutating func returning(
    _ items: [SQLItem], _ table: Table, _ alias: String, _ variables: Scope?
  ) throws(ServerError) -> (String?, [ResultColumn]?) {
    guard !items.isEmpty else { return (nil, nil) }
    let scope = Scope([relation(of: table, alias: alias, parameters: Slot.row)], outer: variables)
    let (texts, columns) = try self.items(items, scope)
    return ("SELECT \(texts.joined(separator: ", "))", columns)
  }

  /// The clause `WHERE` of a condition; empty without one.
  private mutating func filterText(_ filter: SQLExpression?, _ scope: Scope) throws(ServerError) -> String {
    guard let filter else { return "" }
    return " WHERE \(try condition(filter, scope, "WHERE"))"
  }

  private mutating func update(
    _ update: SQLUpdate, _ variables: Scope?
  ) throws(ServerError) -> (UpdatePlan, [ResultColumn]?) {
    let table = try catalog.table(update.table)
    locks.append((table.id, .rowExclusive))
    let targets = Scope([relation(of: table, alias: update.alias)], outer: variables)
    let row = Scope([relation(of: table, alias: update.alias, parameters: Slot.row)], outer: variables)
    let filter = try filterText(update.filter, targets)
    let (returning, columns) = try self.returning(update.returning, table, update.alias, variables)
    let sets = try assignments(update.sets, table, targets)
    let recheck = try self.rowUpdate(update.sets, update.filter, table, row)
    let sql =
      "SELECT \(sets.sql.joined(separator: ", ")), \(update.alias.quotedName)._rowid_"
      + " FROM \(table.name.quotedName) AS \(update.alias.quotedName)\(filter) ORDER BY \(update.alias.quotedName)._rowid_"
    return (UpdatePlan(table: table.name, targets: sql, recheck: recheck, returning: returning), columns)
  }

  private mutating func rowUpdate(
    _ sets: [SQLAssignment], _ filter: SQLExpression?, _ table: Table, _ scope: Scope
  ) throws(ServerError) -> RowUpdate {
    let sets = try assignments(sets, table, scope)
    let refusal = try filterText(filter, scope)
    return RowUpdate(columns: sets.columns, sql: "SELECT \(sets.sql.joined(separator: ", "))\(refusal)")
  }

  private mutating func assignments(
    _ sets: [SQLAssignment], _ table: Table, _ scope: Scope
  ) throws(ServerError) -> (columns: [Int], sql: [String]) {
    var columns: [Int] = []
    var sql: [String] = []
    for set in sets {
      let position = try table.position(of: set.column)
      guard !columns.contains(position) else {
        throw ServerError("42601", "multiple assignments to same column \"\(set.column)\"")
      }
      columns.append(position)
      let value = set.value == .defaultValue ? table.columns[position].defaultValue ?? .null : set.value
      sql.append(try assigned(try expression(value, scope), to: table.columns[position]).sql)
    }
    return (columns, sql)
  }

  private mutating func assigned(_ value: Typed, to column: Column) throws(ServerError) -> Typed {
    try coerce(
      value, to: column.type.type, assigned: true,
      or: ServerError(
        "42804",
        "column \"\(column.name)\" is of type \(column.type.type.name) but expression is of type \(value.type.name)"))
  }

  private mutating func delete(
    _ delete: SQLDelete, _ variables: Scope?
  ) throws(ServerError) -> (DeletePlan, [ResultColumn]?) {
    let table = try catalog.table(delete.table)
    locks.append((table.id, .rowExclusive))
    let targets = Scope([relation(of: table, alias: delete.alias)], outer: variables)
    let row = Scope([relation(of: table, alias: delete.alias, parameters: Slot.row)], outer: variables)
    let filter = try filterText(delete.filter, targets)
    let recheck = try filterText(delete.filter, row)
    let (returning, columns) = try self.returning(delete.returning, table, delete.alias, variables)
    let alias = delete.alias.quotedName
    let sql = "SELECT \(alias)._rowid_ FROM \(table.name.quotedName) AS \(alias)\(filter) ORDER BY \(alias)._rowid_"
    return (DeletePlan(table: table.name, targets: sql, recheck: "SELECT 1\(recheck)", returning: returning), columns)
  }

  private mutating func insert(
    _ insert: SQLInsert, _ variables: Scope?
  ) throws(ServerError) -> (InsertPlan, [ResultColumn]?) {
    let table = try catalog.table(insert.table)
    locks.append((table.id, .rowExclusive))
    var columns = Array(table.columns.indices)
    if let names = insert.columns {
      columns = []
      for name in names { columns.append(try table.position(of: name)) }
      guard Set(columns).count == columns.count else { throw ServerError("42701", "column specified more than once") }
    }
    var plan = InsertPlan(table: table.name, columns: columns, defaulted: [], defaults: [:])
    try source(insert.source, table, &plan, variables)
    for (position, column) in table.columns.enumerated() {
      guard let value = column.defaultValue else { continue }
      plan.defaults[position] = "SELECT \(try assigned(try expression(value, Scope()), to: column).sql)"
    }
    if let conflict = insert.conflict { plan.conflict = try self.conflict(conflict, insert, table, variables) }
    let (returning, result) = try self.returning(insert.returning, table, insert.alias, variables)
    plan.returning = returning
    return (plan, result)
  }

  private mutating func source(
    _ source: SQLInsert.Source, _ table: Table, _ plan: inout InsertPlan, _ variables: Scope?
  ) throws(ServerError) {
    switch source {
    case .defaults: plan.columns = []
    case .rows(let rows):
      var texts: [String] = []
      for row in rows {
        guard row.count <= plan.columns.count else {
          throw ServerError("42601", "INSERT has more expressions than target columns")
        }
        guard row.count == plan.columns.count || plan.columns.count == table.columns.count else {
          throw ServerError("42601", "INSERT has more target columns than expressions")
        }
        plan.columns = Array(plan.columns.prefix(row.count))
        var values: [String] = []
        var defaulted: [Int] = []
        for (position, value) in zip(plan.columns, row) {
          if value == .defaultValue {
            defaulted.append(position)
            values.append("NULL")
          } else {
            let typed = try expression(value, Scope(outer: variables))
            values.append(try assigned(typed, to: table.columns[position]).sql)
          }
        }
        plan.defaulted.append(defaulted)
        texts.append("(\(values.joined(separator: ", ")))")
      }
      plan.source = "VALUES \(texts.joined(separator: ", "))"
    case .select(let select):
      let types = plan.columns.map { table.columns[$0].type.type }
      let result = try query(select, outer: variables, targets: types)
      guard result.columns.count <= plan.columns.count else {
        throw ServerError("42601", "INSERT has more expressions than target columns")
      }
      plan.columns = Array(plan.columns.prefix(result.columns.count))
      for (position, column) in zip(plan.columns, result.columns) {
        _ = try assigned(Typed("", column.type.type), to: table.columns[position])
      }
      plan.source = result.sql
    }
  }

  private mutating func conflict(
    _ conflict: SQLConflict, _ insert: SQLInsert, _ table: Table, _ variables: Scope?
  ) throws(ServerError) -> ConflictPlan {
    var plan = ConflictPlan()
    if let name = conflict.constraint {
      guard table.indexes.contains(where: { $0.name == name && $0.isConstraint }) else {
        throw ServerError("42704", "constraint \"\(name)\" for table \"\(table.name)\" does not exist")
      }
      plan.arbiters = [name]
    } else if !conflict.columns.isEmpty {
      var positions: Set<Int> = []
      for column in conflict.columns { positions.insert(try table.position(of: column)) }
      let arbiters = table.indexes.filter {
        $0.isUnique && Set($0.columns) == positions && ($0.predicate == nil || $0.predicate == conflict.predicate)
      }
      guard !arbiters.isEmpty else {
        throw ServerError(
          "42P10", "there is no unique or exclusion constraint matching the ON CONFLICT specification")
      }
      plan.arbiters = arbiters.map(\.name)
    }
    guard let sets = conflict.sets else { return plan }
    guard plan.arbiters != nil else {
      throw ServerError("42601", "ON CONFLICT DO UPDATE requires inference specification or constraint name")
    }
    let scope = Scope(
      [
        relation(of: table, alias: insert.alias, parameters: Slot.row),
        relation(of: table, alias: "excluded", parameters: Slot.excluded),
      ], outer: variables)
    plan.update = try rowUpdate(sets, conflict.filter, table, scope)
    return plan
  }
}
