/// Queries.
extension Analyzer {
  /// The rendered parts of a query.
  struct Query {
    var sql: String
    var columns: [ResultColumn]
  }

  mutating func subquery(_ query: SQLSelect, _ scope: Scope) throws(ServerError) -> (
    sql: String, columns: [ResultColumn]
  ) {
    let result = try self.query(query, outer: scope)
    return (result.sql, result.columns)
  }

  /// Renders a query. `targets` are the columns that an INSERT fills with it, which give literals
  /// and parameters their types.
  mutating func query(
    _ query: SQLSelect, outer: Scope? = nil, targets: [SQLType] = []
  ) throws(ServerError) -> Query {
    guard query.locking == nil else { throw .unknown("a row lock in a subquery") }
    let scope = Scope(outer: outer)
    var result = try core(query.core, scope, targets: query.unions.isEmpty ? targets : [])
    for union in query.unions {
      let part = try core(union.core, Scope(outer: outer))
      guard part.columns.count == result.columns.count else {
        throw ServerError("42601", "each UNION query must have the same number of columns")
      }
      for index in part.columns.indices {
        let (a, b) = (result.columns[index].type.type, part.columns[index].type.type)
        result.columns[index].type.type = try common([Typed("", a), Typed("", b)], "UNION").type
        result.columns[index].tableID = 0
      }
      result.sql += " UNION \(union.isAll ? "ALL " : "")\(part.sql)"
    }
    result.sql += try order(query, result.columns, query.unions.isEmpty ? scope : nil)
    if let limit = query.limit { result.sql += " LIMIT \(try bound(limit, "LIMIT"))" }
    if let offset = query.offset {
      if query.limit == nil { result.sql += " LIMIT -1" }
      result.sql += " OFFSET \(try bound(offset, "OFFSET"))"
    }
    return result
  }

  mutating func bound(_ expression: SQLExpression, _ what: String) throws(ServerError) -> String {
    let value = try coerce(
      try self.expression(expression, Scope()), to: .bigint,
      or: ServerError("42804", "argument of \(what) must be type bigint"))
    // SQLite refuses NULL; PostgreSQL reads it as no limit.
    return "coalesce(\(value.sql), \(what == "LIMIT" ? -1 : 0))"
  }

  mutating func order(_ query: SQLSelect, _ columns: [ResultColumn], _ scope: Scope?) throws(ServerError) -> String {
    guard !query.orderBy.isEmpty else { return "" }
    var parts: [String] = []
    for order in query.orderBy {
      var sql: String
      if case .integer(let position) = order.expression {
        guard position >= 1, position <= columns.count else {
          throw ServerError("42P10", "ORDER BY position \(position) is not in select list")
        }
        sql = "\(position)"
      } else if case .column(nil, let name) = order.expression,
        let position = columns.firstIndex(where: { $0.name == name })
      {
        sql = "\(position + 1)"
      } else {
        guard let scope else { throw ServerError("0A000", "invalid UNION ORDER BY clause") }
        sql = try resolved(try expression(order.expression, scope)).sql
      }
      // NULL is the greatest value in PostgreSQL, and the least in SQLite.
      sql += order.isDescending ? " DESC" : " ASC"
      parts.append(sql + (order.nullsFirst ?? order.isDescending ? " NULLS FIRST" : " NULLS LAST"))
    }
    return " ORDER BY " + parts.joined(separator: ", ")
  }

  /// Renders one SELECT, without what follows its HAVING.
  mutating func core(
    _ core: SQLSelectCore, _ scope: Scope, hidden: String? = nil, targets: [SQLType] = []
  ) throws(ServerError) -> Query {
    var sources: [String] = []
    for source in core.sources { sources.append(try self.source(source, scope)) }
    // The conditions of joins were resolved; what they use is no part of the select list.
    scope.loose = []
    let (items, columns) = try self.items(core.items, scope, targets)
    var groups: [String] = []
    let loose = scope.loose
    var sql = "SELECT \(core.isDistinct ? "DISTINCT " : "")\(items.joined(separator: ", "))"
    if let hidden { sql += ", \(hidden)" }
    if !sources.isEmpty { sql += " FROM \(sources.joined(separator: ", "))" }
    if let filter = core.filter {
      scope.aggregateDepth += 1
      sql += " WHERE \(try condition(filter, scope, "WHERE"))"
      scope.aggregateDepth -= 1
    }
    for group in core.groupBy { groups.append(try expression(group, scope).sql) }
    if !groups.isEmpty { sql += " GROUP BY \(groups.joined(separator: ", "))" }
    if let having = core.having { sql += " HAVING \(try condition(having, scope, "HAVING"))" }
    if scope.hasAggregates || !groups.isEmpty {
      var grouped: Set<String> = []
      for group in core.groupBy { grouped.insert(try expression(group, scope).sql) }
      for column in loose where !grouped.contains(try expression(column, scope).sql) {
        throw ServerError("42803", "a column must appear in the GROUP BY clause or be used in an aggregate function")
      }
    }
    return Query(sql: sql, columns: columns)
  }

  private mutating func source(_ source: SQLSource, _ scope: Scope) throws(ServerError) -> String {
    switch source {
    case .table(let name, let alias):
      let table = try catalog.table(name)
      locks.append((table.id, .accessShare))
      try add(relation(of: table, alias: alias), to: scope)
      return "\(name.quotedName) AS \(alias.quotedName)"
    case .subquery(let query, let alias):
      let result = try self.query(query, outer: scope.outer)
      let columns = result.columns.map { Relation.Column(name: $0.name, type: $0.type) }
      try add(Relation(alias: alias, columns: columns), to: scope)
      return "(\(result.sql)) AS \(alias.quotedName)"
    case .join(let left, let right, let kind, let on):
      let sql = "\(try self.source(left, scope)) \(kind) \(try self.source(right, scope))"
      guard let on else { return sql }
      return "\(sql) ON \(try condition(on, scope, "JOIN/ON"))"
    }
  }

  private func add(_ relation: Relation, to scope: Scope) throws(ServerError) {
    guard !scope.relations.contains(where: { $0.alias == relation.alias }) else {
      throw ServerError("42712", "table name \"\(relation.alias)\" specified more than once")
    }
    scope.relations.append(relation)
  }

  /// Renders a select list or RETURNING.
  mutating func items(
    _ items: [SQLItem], _ scope: Scope, _ targets: [SQLType] = []
  ) throws(ServerError) -> ([String], [ResultColumn]) {
    var texts: [String] = []
    var columns: [ResultColumn] = []
    func add(_ sql: String, _ column: ResultColumn) {
      texts.append("\(sql) AS \(column.name.quotedName)")
      columns.append(column)
    }
    for item in items {
      guard let expression = item.expression else {
        for relation in scope.relations where item.starTable == nil || item.starTable == relation.alias {
          for (position, column) in relation.columns.enumerated() {
            add(
              relation.rendered(position),
              ResultColumn(name: column.name, type: column.type, tableID: column.tableID, number: column.number))
            if scope.aggregateDepth == 0 { scope.loose.append(.column(table: relation.alias, name: column.name)) }
          }
        }
        continue
      }
      var value = try self.expression(expression, scope)
      if value.type == .unknown, columns.count < targets.count {
        value = try coerce(value, to: targets[columns.count])
      }
      value = try resolved(value)
      let length = value.type == .varchar ? value.length : nil
      var column = ResultColumn(
        name: item.name ?? Self.name(of: expression), type: DeclaredType(type: value.type, length: length))
      if case .column(let table, let name) = expression, let source = try? scope.find(table, name) {
        column.tableID = source.column.tableID
        column.number = source.column.number
      }
      add(value.sql, column)
    }
    return (texts, columns)
  }

  /// The name that PostgreSQL gives a column of a result (`FigureColname`).
  private static func name(of expression: SQLExpression) -> String {
    switch expression {
    case .column(_, let name): name
    case .function(let name, _, _, _): name
    case .exists: "exists"
    case .choice(_, _, let otherwise):
      otherwise.map { name(of: $0) }.flatMap { $0 == "?column?" ? nil : $0 } ?? "case"
    case .cast(let operand, let type):
      name(of: operand) == "?column?" ? internalName(type.type) : name(of: operand)
    case .scalar(let query):
      query.core.items.first.flatMap { $0.name ?? $0.expression.map { name(of: $0) } } ?? "?column?"
    case .boolean: "bool"
    default: "?column?"
    }
  }

  private static func internalName(_ type: SQLType) -> String {
    switch type {
    case .boolean: "bool"
    case .bigint: "int8"
    case .integer: "int4"
    case .smallint: "int2"
    case .timestamp: "timestamp"
    case .timestamptz: "timestamptz"
    case .varchar: "varchar"
    default: type.name
    }
  }
}
