import System

/// Changes of the catalog. The statements are kept in a table of the engine's own, and read again
/// when the server starts.
extension DatabaseEngine {
  static func isDefinition(_ statement: SQLStatement) -> Bool {
    switch statement {
    case .createTable, .createIndex, .dropTable, .dropIndex, .addColumn, .createFunction, .createTrigger, .dropTrigger,
      .dropFunction:
      true
    default: false
    }
  }

  /// Creates the engine's own tables in a new database, and reads the catalog.
  func load() throws {
    try store.database.execute(
      """
      CREATE TABLE IF NOT EXISTS "parley definitions" (number INTEGER PRIMARY KEY, sql TEXT);
      CREATE TABLE IF NOT EXISTS "parley sequences" (name TEXT PRIMARY KEY, last INTEGER)
      """)
    catalog = Catalog()
    definitions = 0
    for row in try store.database.run("SELECT number, sql FROM \"parley definitions\" ORDER BY number") {
      guard case .text(let text) = row[1] else { continue }
      definitions = Int(row.integer(0))
      try apply(try SQLParser.statement(text).statement)
    }
    sequences = [:]
    for row in try store.database.run("SELECT name, last FROM \"parley sequences\"") {
      guard case .text(let name) = row[0] else { continue }
      sequences[String(decoding: name, as: UTF8.self)] = row.integer(1)
    }
    try countRows()
  }

  private func countRows() throws {
    lastRows = [:]
    for name in catalog.tableNames {
      let last = try store.database.run("SELECT coalesce(max(_rowid_), 0) FROM \(name.quotedName)")[0].integer(0)
      lastRows[catalog.find(name)!.id] = last
    }
  }

  /// Restores what depends on the catalog after a transaction that changed it was rolled back.
  func load(afterRollbackOf transaction: OpenTransaction) throws {
    try store.forget(transaction)
    definitions = Int(
      try store.database.run("SELECT coalesce(max(number), 0) FROM \"parley definitions\"")[0].integer(0))
    try countRows()
  }

  /// Saves the numbers of identity columns with a commit. Numbers that were drawn by transactions
  /// that did not commit are drawn again only after a crash.
  func saveSequences(_ transaction: OpenTransaction, _ database: StatementDatabase) throws {
    for name in sequences.keys.sorted() where saved[name] != sequences[name] {
      let values: [StoredValue] = [.text(Array(name.utf8)), .integer(sequences[name]!)]
      _ = try database.run(
        """
        INSERT INTO "parley sequences" (name, last) VALUES ($1, $2)
        ON CONFLICT (name) DO UPDATE SET last = excluded.last
        """
      ) { values[$0 - 1] }
      saved[name] = sequences[name]
    }
  }

  /// Runs a definition in the transaction of its session, which has the database for itself.
  func define(_ statement: SQLStatement, _ execution: Execution) throws {
    let transaction = session(execution.session).transaction!
    guard !transaction.isReadOnly, !isReadOnly else {
      throw ServerError("25006", "cannot execute a definition in a read-only transaction")
    }
    guard try isNeeded(statement) else { return }
    try store.pin(transaction)
    if transaction.formerCatalog == nil { transaction.formerCatalog = catalog }
    let former = catalog
    try apply(statement)
    for sql in try rendering(statement, former) { try store.database.execute(sql) }
    definitions += 1
    let values: [StoredValue] = [.integer(Int64(definitions)), .text(execution.text)]
    _ = try store.database.run("INSERT INTO \"parley definitions\" (number, sql) VALUES ($1, $2)") { values[$0 - 1] }
    if case .createTable(let name, _, _, _) = statement { lastRows[catalog.find(name)!.id] = 0 }
    if case .addColumn(let table, let column) = statement {
      // Rows that the transaction has changed get the column, too.
      guard transaction.changes.isEmpty, column.defaultValue == nil, !column.isIdentity else {
        return try addValues(table, column, transaction)
      }
    }
  }

  private func addValues(_ table: String, _ column: SQLColumnDefinition, _ transaction: OpenTransaction) throws {
    guard transaction.changes.isEmpty, !column.isIdentity else {
      throw ServerError.unknown("ADD COLUMN after changes of rows")
    }
    var analyzer = Analyzer(catalog)
    let value = try analyzer.coerce(
      try analyzer.expression(column.defaultValue!, Scope()), to: column.type.type, assigned: true)
    try store.database.execute("UPDATE \(table.quotedName) SET \(column.name.quotedName) = \(value.sql)")
  }

  /// Whether IF EXISTS or IF NOT EXISTS makes nothing of a definition.
  private func isNeeded(_ statement: SQLStatement) throws -> Bool {
    switch statement {
    case .createTable(let name, let ifNotExists, _, _): return !(ifNotExists && catalog.find(name) != nil)
    case .createIndex(let name, let table, _, _, _, let ifNotExists):
      let indexes = try catalog.table(table).indexes
      return !(ifNotExists && indexes.contains { $0.name == name })
    case .dropTable(let name, let ifExists): return !(ifExists && catalog.find(name) == nil)
    case .dropIndex(let name, let ifExists):
      let isKnown = catalog.tableNames.contains { catalog.find($0)!.indexes.contains { $0.name == name } }
      return isKnown || !ifExists
    case .dropTrigger(let name, let table, let ifExists):
      return !(ifExists && catalog.find(table)?.triggers.contains { $0.name == name } != true)
    case .dropFunction(let name, let ifExists): return !(ifExists && catalog.functions[name] == nil)
    default: return true
    }
  }

  private func apply(_ statement: SQLStatement) throws {
    switch statement {
    case .createTable(let name, _, let columns, let constraints): try catalog.create(name, columns, constraints)
    case .createIndex(let name, let table, let columns, let isUnique, let predicate, _):
      let known = try catalog.table(table)
      var positions: [Int] = []
      for column in columns { positions.append(try known.position(of: column)) }
      try catalog.add(Index(name: name, columns: positions, isUnique: isUnique, predicate: predicate), to: table)
    case .dropTable(let name, _):
      _ = try catalog.table(name)
      try catalog.removeTable(name)
    case .dropIndex(let name, _):
      guard catalog.removeIndex(name) else { throw ServerError("42704", "index \"\(name)\" does not exist") }
    case .addColumn(let table, let column):
      _ = try catalog.table(table)
      try catalog.add(column, to: table)
    case .createFunction(let name, let steps, let orReplace): try catalog.add(name, steps, orReplace: orReplace)
    case .createTrigger(let name, let table, let events, let columns, let function):
      let known = try catalog.table(table)
      var positions: [Int] = []
      for column in columns { positions.append(try known.position(of: column)) }
      try catalog.add(Trigger(name: name, events: events, columns: positions, function: function), to: table)
    case .dropTrigger(let name, let table, _):
      _ = try catalog.table(table)
      guard catalog.removeTrigger(name, from: table) else {
        throw ServerError("42704", "trigger \"\(name)\" for table \"\(table)\" does not exist")
      }
    case .dropFunction(let name, _):
      guard try catalog.removeFunction(name) else {
        throw ServerError("42883", "function \(name)() does not exist")
      }
    default: throw ServerError.unknown("this statement")
    }
  }

  /// The statements of SQLite for a definition. Its tables have no constraints, since a view of an
  /// old snapshot may hold a row that was deleted and one with its key that was inserted later.
  private func rendering(_ statement: SQLStatement, _ former: Catalog) throws -> [String] {
    switch statement {
    case .createTable(let name, _, _, _):
      let table = try catalog.table(name)
      let columns = table.columns.map(\.name.quotedName).joined(separator: ", ")
      return try ["CREATE TABLE \(name.quotedName) (\(columns))"] + table.indexes.map { try rendering($0, table) }
    case .createIndex(let name, let table, _, _, _, _):
      let known = try catalog.table(table)
      return [try rendering(known.indexes.first { $0.name == name }!, known)]
    case .dropTable(let name, _): return ["DROP TABLE \(name.quotedName)"]
    case .dropIndex(let name, _): return ["DROP INDEX \(name.quotedName)"]
    case .addColumn(let table, let column):
      return ["ALTER TABLE \(table.quotedName) ADD COLUMN \(column.name.quotedName)"]
    default: return []
    }
  }

  private func rendering(_ index: Index, _ table: Table) throws -> String {
    let columns = index.columns.map { table.columns[$0].name.quotedName }.joined(separator: ", ")
    var sql = "CREATE INDEX \(index.name.quotedName) ON \(table.name.quotedName) (\(columns))"
    if let predicate = index.predicate {
      var analyzer = Analyzer(catalog)
      // A predicate names its columns without a table.
      let scope = Scope([analyzer.relation(of: table, alias: table.name)])
      let condition = try analyzer.condition(predicate, scope, "WHERE")
      sql += " WHERE \(condition.replacing("\(table.name.quotedName).", with: ""))"
    }
    return sql
  }
}
