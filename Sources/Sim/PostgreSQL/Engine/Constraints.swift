import System

/// What a row must satisfy.
extension DatabaseEngine {
  /// Checks the range and the length of a value for its column.
  func limited(_ value: StoredValue, _ column: Column) throws -> StoredValue {
    if case .text(let bytes) = value, let length = column.type.length {
      let characters = bytes.count { $0 & 0xC0 != 0x80 }
      guard characters > length else { return value }
      throw ServerError("22001", "value too long for type character varying(\(length))")
    }
    return try TextForm.limited(value, to: column.type.type)
  }

  /// Checks NOT NULL and CHECK.
  func check(_ row: [StoredValue], _ table: Table) throws {
    for (column, value) in zip(table.columns, row) where column.isNotNull && value == .null {
      var error = ServerError("23502", "null value in column \"\(column.name)\" violates not-null constraint")
      error.schema = "public"
      error.table = table.name
      error.column = column.name
      throw error
    }
    for check in table.checks {
      // NULL passes (PostgreSQL 15, §5.4.1).
      guard try holds(check.condition, "check \(check.name)", row, table) == .integer(0) else { continue }
      throw violation(
        "23514", check.name, table.name, "new row for relation \"\(table.name)\" violates check constraint")
    }
  }

  /// Evaluates a condition for a row.
  func holds(_ condition: SQLExpression, _ name: String, _ row: [StoredValue], _ table: Table) throws -> StoredValue {
    if renderedVersion != catalog.version {
      rendered = [:]
      renderedVersion = catalog.version
    }
    let name = "\(table.name) \(name)"
    if rendered[name] == nil {
      var analyzer = Analyzer(catalog)
      let scope = Scope([analyzer.relation(of: table, alias: table.name, parameters: Slot.row)])
      rendered[name] = "SELECT \(try analyzer.condition(condition, scope, "CHECK"))"
    }
    return try store.database.run(rendered[name]!) { row[$0 - Slot.row] }[0][0]
  }

  /// Whether an index has an entry for a row.
  private func covers(_ index: Index, _ row: [StoredValue], _ table: Table) throws -> Bool {
    if index.columns.contains(where: { row[$0] == .null }) { return false }
    guard let predicate = index.predicate else { return true }
    return try holds(predicate, "index \(index.name)", row, table) == .integer(1)
  }

  /// Checks the unique indexes for a new version of a row, but for those that were checked. Waits
  /// for transactions that have inserted, changed or deleted a row with its key.
  func requireUnique(
    _ row: [StoredValue], row number: Int64?, _ table: Table, except checked: [String], _ execution: Execution,
    _ frame: Frame
  ) throws {
    let transaction = session(execution.session).transaction!
    var entered = checked
    for index in table.indexes where index.isUnique && !checked.contains(index.name) {
      transaction.pending = PendingRow(table: table.name, cells: row, indexes: entered)
      if try conflict(row, except: number, index, table, execution, frame) != nil {
        throw violation("23505", index.name, table.name, "duplicate key value violates unique constraint")
      }
      entered.append(index.name)
    }
    transaction.pending = nil
  }

  /// Returns the row that has the key of `row` in a unique index. Waits for a transaction that has
  /// not ended and has written a row with this key.
  func conflict(
    _ row: [StoredValue], except number: Int64?, _ index: Index, _ table: Table, _ execution: Execution,
    _ frame: Frame
  ) throws -> Int64? {
    guard try covers(index, row, table) else { return nil }
    let key = index.columns.map { row[$0] }
    let hasKey = { (other: [StoredValue]?) in
      guard let other, index.columns.map({ other[$0] }) == key else { return false }
      return try self.covers(index, other, table)
    }
    for session in sessions where session.id != execution.session {
      guard let transaction = session.transaction else { continue }
      var isInTheWay = false
      for change in transaction.changes where change.key.table == table.id {
        if try hasKey(change.new) || hasKey(change.old) { isInTheWay = true }
      }
      if let pending = transaction.pending, pending.table == table.name, pending.indexes.contains(index.name) {
        if try hasKey(pending.cells) { isInTheWay = true }
      }
      if isInTheWay {
        throw Blocked(wait: .transaction(transaction.id, session: session.id, epoch: transaction.epoch))
      }
    }
    let condition = index.columns.map { "\(table.columns[$0].name.quotedName) = $\(Slot.row + $0)" }
    let sql = "SELECT _rowid_, * FROM \(table.name.quotedName) WHERE \(condition.joined(separator: " AND "))"
    let found = try read(sql, frame, execution, row: row, at: store.lastCommit)
    for candidate in found where candidate.integer(0) != number {
      if try covers(index, Array(candidate.dropFirst()), table) { return candidate.integer(0) }
    }
    return nil
  }
}
