import System

/// The changes of single rows.
extension DatabaseEngine {
  /// Locks, changes or inserts the next row of a statement.
  func change(_ target: Frame.Target, _ frame: Frame, _ execution: Execution) throws {
    switch frame.work {
    case .statement(let prepared):
      switch prepared.plan {
      case .select(let plan): try lock(target, plan.locking!, frame, execution)
      case .update(let plan):
        let table = try catalog.table(plan.table)
        try update(target, table, plan, frame, execution)
      case .delete(let plan):
        let table = try catalog.table(plan.table)
        guard let old = try locked(target.row, table, .update, frame, execution) else { return }
        if old.isNewer, try read(plan.recheck, frame, execution, row: old.cells).isEmpty { return }
        try delete(target.row, old.cells, table, frame, execution)
        if let returning = plan.returning { try self.returning(returning, old.cells, frame, execution) }
      case .insert(let plan): try insert(target, plan, frame, execution)
      case .command: break
      }
    case .reference(let foreign, _, let key):
      let table = try catalog.table(foreign.parent)
      guard let row = try locked(target.row, table, .keyShare, frame, execution) else { return }
      if foreign.parentColumns.map({ row.cells[$0] }) == key { frame.count += 1 }
    case .children(let foreign, let child, let key):
      let table = try catalog.table(child)
      guard let row = try locked(target.row, table, foreign.cascades ? .update : .keyShare, frame, execution) else {
        return
      }
      guard foreign.columns.map({ row.cells[$0] }) == key else { return }
      guard foreign.cascades else {
        throw violation("23503", foreign.name, child, "update or delete on table violates foreign key constraint")
      }
      try delete(target.row, row.cells, table, frame, execution)
    case .trigger: break
    }
  }

  // MARK: Locks

  /// Locks a row. Returns its newest version, and whether the statement's snapshot has an older
  /// one; nil if it was deleted, or is to be skipped.
  func locked(
    _ row: Int64, _ table: Table, _ mode: RowLockMode, _ frame: Frame, _ execution: Execution,
    _ policy: LockPolicy = .wait
  ) throws -> (cells: [StoredValue], isNewer: Bool)? {
    let key = RowKey(table: table.id, row: row)
    let transaction = session(execution.session).transaction!
    if transaction.isolation != .readCommitted {
      // A row that has changed since the snapshot fails at once, whoever has locked it.
      if case .unchanged = store.version(of: key, after: frame.snapshot) {
      } else {
        try requireSnapshot(transaction, "update")
      }
    }
    let wasHeld = rowLocks.holds(execution.session, key, atLeast: mode)
    guard try acquire(key, mode, execution, policy) else { return nil }
    switch store.version(of: key, after: frame.snapshot) {
    case .unchanged: return try current(row, table, frame, execution).map { ($0, false) }
    case .deleted:
      try requireSnapshot(transaction, "delete")
      // Nothing is left to lock, so the next waiter need not wait for this transaction.
      if !wasHeld {
        transaction.rowLocks.removeLast()
        rowLocks.release(execution.session, key, mode)
      }
      return nil
    case .changed(let values):
      try requireSnapshot(transaction, "update")
      // The transaction may have changed the newest version itself.
      let own = transaction.changes.last { $0.key == key }
      return own.map { $0.new.map { ($0, true) } } ?? (values, true)
    }
  }

  private func requireSnapshot(_ transaction: OpenTransaction, _ what: String) throws {
    guard transaction.isolation != .readCommitted else { return }
    throw ServerError("40001", "could not serialize access due to concurrent \(what)")
  }

  private func current(_ row: Int64, _ table: Table, _ frame: Frame, _ execution: Execution) throws -> [StoredValue]? {
    let names = table.columns.map(\.name.quotedName).joined(separator: ", ")
    let sql = "SELECT \(names) FROM \(table.name.quotedName) WHERE _rowid_ = $\(Slot.row)"
    return try read(sql, frame, execution, row: [.integer(row)]).first
  }

  /// Takes a row lock. Returns false if the row is to be skipped.
  func acquire(_ key: RowKey, _ mode: RowLockMode, _ execution: Execution, _ policy: LockPolicy = .wait) throws -> Bool
  {
    let id = execution.session
    if rowLocks.holds(id, key, atLeast: mode) { return true }
    guard rowLocks.blockers(id, key, mode).isEmpty else {
      switch policy {
      case .wait: throw Blocked(wait: .row(key, mode))
      case .noWait: throw ServerError("55P03", "could not obtain lock on row in relation")
      case .skip: return false
      }
    }
    rowLocks.leaveQueue(id, key)
    rowLocks.grant(id, key, mode)
    session(id).transaction!.rowLocks.append((key, mode))
    return true
  }

  private func lock(_ target: Frame.Target, _ locking: RowLocking, _ frame: Frame, _ execution: Execution) throws {
    let table = try catalog.table(locking.table)
    guard let row = try locked(target.row, table, locking.mode, frame, execution, locking.policy) else { return }
    guard row.isNewer else { return frame.rows.append(target.cells) }
    if let values = try read(locking.recheck, frame, execution, row: row.cells).first { frame.rows.append(values) }
  }

  // MARK: UPDATE and DELETE

  private func update(
    _ target: Frame.Target, _ table: Table, _ plan: UpdatePlan, _ frame: Frame, _ execution: Execution
  ) throws {
    let key = RowKey(table: table.id, row: target.row)
    // The lock is as strong as the change: other values of key columns need the strongest.
    var mode = RowLockMode.noKeyUpdate
    if let before = try current(target.row, table, frame, execution) {
      for (column, value) in zip(plan.recheck.columns, target.cells)
      where table.keyColumns.contains(column) && before[column] != value { mode = .update }
    }
    guard let old = try locked(target.row, table, mode, frame, execution) else { return }
    var values = target.cells
    if old.isNewer {
      guard let again = try read(plan.recheck.sql, frame, execution, row: old.cells).first else { return }
      values = again
    }
    guard !frame.touched.contains(key) else { return }
    try store(values, plan.recheck.columns, row: target.row, old.cells, table, plan.returning, frame, execution)
  }

  /// Stores new values of a locked row.
  private func store(
    _ values: [StoredValue], _ columns: [Int], row: Int64, _ old: [StoredValue], _ table: Table, _ returning: String?,
    _ frame: Frame, _ execution: Execution
  ) throws {
    var new = old
    for (column, value) in zip(columns, values) { new[column] = try limited(value, table.columns[column]) }
    try check(new, table)
    if table.keyColumns.contains(where: { old[$0] != new[$0] }) {
      _ = try acquire(RowKey(table: table.id, row: row), .update, execution)
    }
    // The predicate of a partial index may depend on any column.
    let isPartial = table.indexes.contains { $0.isUnique && $0.predicate != nil }
    if old != new, isPartial || table.indexedColumns.contains(where: { old[$0] != new[$0] }) {
      try requireUnique(new, row: row, table, except: [], execution, frame)
    }
    let change = RowChange(table: table.name, key: RowKey(table: table.id, row: row), old: old, new: new)
    add(change, columns, frame, execution)
    frame.count += 1
    if let returning { try self.returning(returning, new, frame, execution) }
  }

  private func delete(
    _ row: Int64, _ old: [StoredValue], _ table: Table, _ frame: Frame, _ execution: Execution
  ) throws {
    add(RowChange(table: table.name, key: RowKey(table: table.id, row: row), old: old, new: nil), [], frame, execution)
    frame.count += 1
  }

  private func add(_ change: RowChange, _ columns: [Int], _ frame: Frame, _ execution: Execution) {
    let transaction = session(execution.session).transaction!
    transaction.pending = nil
    transaction.changes.append(change)
    frame.touched.insert(change.key)
    (frame.owner ?? frame).events.append(Frame.Event(change: change, columns: columns))
  }

  private func returning(_ sql: String, _ row: [StoredValue], _ frame: Frame, _ execution: Execution) throws {
    frame.rows += try read(sql, frame, execution, row: row)
  }

  // MARK: INSERT

  private func insert(_ target: Frame.Target, _ plan: InsertPlan, _ frame: Frame, _ execution: Execution) throws {
    let table = try catalog.table(plan.table)
    if frame.built == nil { frame.built = try build(target, plan, table) }
    let values = frame.built!
    var arbiters: [String] = []
    if let conflict = plan.conflict {
      arbiters = conflict.arbiters ?? table.indexes.filter(\.isUnique).map(\.name)
      for index in table.indexes where arbiters.contains(index.name) {
        guard let row = try self.conflict(values, except: nil, index, table, execution, frame) else { continue }
        return try resolve(row, values, conflict, plan, table, frame, execution)
      }
    }
    if lastRows[table.id] == nil { lastRows[table.id] = 0 }
    try requireUnique(values, row: nil, table, except: arbiters, execution, frame)
    lastRows[table.id]! += 1
    let key = RowKey(table: table.id, row: lastRows[table.id]!)
    add(RowChange(table: table.name, key: key, old: nil, new: values), [], frame, execution)
    frame.count += 1
    if let returning = plan.returning { try self.returning(returning, values, frame, execution) }
  }

  private func build(_ target: Frame.Target, _ plan: InsertPlan, _ table: Table) throws -> [StoredValue] {
    var values = [StoredValue](repeating: .null, count: table.columns.count)
    let defaulted = plan.defaulted.isEmpty ? [] : plan.defaulted[Int(target.row)]
    let given = plan.columns.filter { !defaulted.contains($0) }
    for (column, value) in zip(plan.columns, target.cells) where given.contains(column) {
      guard !table.columns[column].isAlwaysIdentity else {
        throw ServerError("428C9", "cannot insert a non-DEFAULT value into column \"\(table.columns[column].name)\"")
      }
      values[column] = try limited(value, table.columns[column])
    }
    for (position, column) in table.columns.enumerated() where !given.contains(position) {
      if column.isIdentity {
        let name = "\(table.id).\(column.name)"
        sequences[name, default: 0] += 1
        values[position] = .integer(sequences[name]!)
      } else if let sql = plan.defaults[position] {
        values[position] = try store.database.run(sql)[0][0]
      }
    }
    try check(values, table)
    return values
  }

  /// Does what ON CONFLICT says with the row that is in the way.
  private func resolve(
    _ row: Int64, _ values: [StoredValue], _ conflict: ConflictPlan, _ plan: InsertPlan, _ table: Table,
    _ frame: Frame, _ execution: Execution
  ) throws {
    let key = RowKey(table: table.id, row: row)
    let transaction = session(execution.session).transaction!
    let isOwn = transaction.changes.contains { $0.key == key }
    if !isOwn, transaction.isolation != .readCommitted, case .changed = store.version(of: key, after: frame.snapshot) {
      throw ServerError("40001", "could not serialize access due to concurrent update")
    }
    guard let update = conflict.update else { return }
    if frame.touched.contains(key) {
      throw ServerError("21000", "ON CONFLICT DO UPDATE command cannot affect row a second time")
    }
    let mode: RowLockMode = update.columns.contains(where: table.keyColumns.contains) ? .update : .noKeyUpdate
    _ = try acquire(key, mode, execution)
    guard let old = try current(row, table, frame, execution, at: store.lastCommit) else {
      fatalError("a row that is in the way is not there")
    }
    guard let new = try read(update.sql, frame, execution, row: old, excluded: values).first else { return }
    try store(new, update.columns, row: row, old, table, plan.returning, frame, execution)
  }

  private func current(
    _ row: Int64, _ table: Table, _ frame: Frame, _ execution: Execution, at snapshot: Int
  ) throws -> [StoredValue]? {
    let names = table.columns.map(\.name.quotedName).joined(separator: ", ")
    let sql = "SELECT \(names) FROM \(table.name.quotedName) WHERE _rowid_ = $\(Slot.row)"
    return try read(sql, frame, execution, row: [.integer(row)], at: snapshot).first
  }
}
