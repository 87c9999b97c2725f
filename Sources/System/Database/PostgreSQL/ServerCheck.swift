import Environment

extension ServiceDatabase {
  /// A table of the service in SQLite, and how its columns are read.
  private struct CheckedTable: Sendable {
    let name: String
    let columns: [(name: String, type: String)]

    var names: String { columns.map(\.name).joined(separator: ", ") }

    func read(_ row: SQLRow) -> [SQLValue] {
      columns.indices.map { index in
        let column = Int32(index)
        if row.isNull(column) { return .null }
        return switch columns[index].type {
        case "BIGINT", "INTEGER", "BOOLEAN": .int(row.int(column))
        case "BLOB": .blob(row.bytes(column))
        default: .text(row.text(column))
        }
      }
    }
  }

  /// Copies the tables of the service on servers into a file of SQLite, and returns the promises
  /// that they break, a line each. Rows that another service has told are not compared with the
  /// promises if `isComparing` is false.
  func breaches(
    _ environment: Environment, on servers: PostgresOptions, copiedTo storage: MemoryStorage, isComparing: Bool
  ) async throws -> [String] {
    let tables = try Self.tables(of: model(in: MemoryStorage()))
    var options = DatabaseOptions()
    options.servers = servers
    let database = Database(environment, path: path, migrations: migrations, options: options)
    let rows = try await database.transaction { session in
      // All tables are read as of one moment.
      try await session.run("LOCK TABLE \(tables.map(\.name).joined(separator: ", ")) IN SHARE MODE")
      var rows: [[[SQLValue]]] = []
      for table in tables {
        rows.append(try await session.query(SQLText("SELECT \(table.names) FROM \(table.name)"), row: table.read))
      }
      return rows
    }
    await database.close()
    let copy = try model(in: storage)
    for (table, rows) in zip(tables, rows) {
      let marks = (1...table.columns.count).map { "$\($0)" }.joined(separator: ", ")
      let insert = SQLText("INSERT INTO \(table.name) (\(table.names)) VALUES (\(marks))")
      for row in rows { _ = try copy.execute(insert, binding: row) }
    }
    try copy.moveLog()
    return try invariants.filter { isComparing || !$0.isAboutOthers }.flatMap { try $0.breaches(in: copy) }
  }

  /// An empty database without triggers: the numbers that they keep are copied, too.
  private func model(in storage: MemoryStorage) throws(DatabaseError) -> SQLConnection {
    let model = try SQLConnection(path: path, vfs: StorageVFS(storage), synchronous: false)
    try migrations.make(in: model)
    let triggers = try model.query("SELECT name FROM sqlite_schema WHERE type = 'trigger'") { $0.text(0) }
    for trigger in triggers { try model.run("DROP TRIGGER \(trigger)") }
    return model
  }

  /// The tables in the order in which they were made, so that a table comes after those that it
  /// refers to.
  private static func tables(of model: SQLConnection) throws(DatabaseError) -> [CheckedTable] {
    let names = try model.query(
      """
      SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'health'
      ORDER BY rowid
      """
    ) { $0.text(0) }
    return try names.map { name throws(DatabaseError) in
      let columns = try model.query("SELECT name, type FROM pragma_table_info($1) ORDER BY cid", binding: [.text(name)])
      {
        (name: $0.text(0), type: String($0.text(1).prefix { $0 != "(" }))
      }
      return CheckedTable(name: name, columns: columns)
    }
  }
}
