import System

/// The steps of statements.
extension DatabaseEngine {
  /// Makes one step. Returns whether the frame has ended.
  func step(_ frame: Frame, _ execution: Execution) throws -> Bool {
    if !frame.isStarted {
      try start(frame, execution)
      frame.isStarted = true
      return false
    }
    if case .trigger(let steps) = frame.work { return try stepTrigger(frame, steps, execution) }
    if frame.next < frame.targets.count, frame.limit.map({ frame.rows.count < $0 }) ?? true {
      try change(frame.targets[frame.next], frame, execution)
      frame.next += 1
      frame.built = nil
      return false
    }
    if case .reference(let key, let child, _) = frame.work, frame.count == 0 {
      throw violation(
        "23503", key.name, child, "insert or update on table \"\(child)\" violates foreign key constraint")
    }
    guard frame.owner == nil else { return true }
    if !frame.frames.isEmpty {
      execution.stack.append(frame.frames.removeFirst())
      return false
    }
    guard frame.nextEvent < frame.events.count else { return true }
    frame.frames = try consequences(of: frame.events[frame.nextEvent], frame)
    frame.nextEvent += 1
    return false
  }

  func violation(_ code: String, _ constraint: String, _ table: String, _ what: String) -> ServerError {
    var error = ServerError(code, "\(what) \"\(constraint)\"")
    error.schema = "public"
    error.table = table
    error.constraint = constraint
    return error
  }

  /// The snapshot of a statement.
  private func snapshot(_ transaction: OpenTransaction) -> Int {
    guard transaction.isolation != .readCommitted else { return store.lastCommit }
    if transaction.snapshot == nil { transaction.snapshot = store.lastCommit }
    return transaction.snapshot!
  }

  /// The parameters of a rendered statement.
  func values(
    _ frame: Frame, _ execution: Execution, row: [StoredValue]? = nil, excluded: [StoredValue]? = nil
  ) -> StatementDatabase.Parameters {
    let transaction = session(execution.session).transaction!
    let start = transaction.start
    let isReadOnly = isReadOnly || transaction.isReadOnly
    let isStandby = self.isReadOnly
    return { number in
      switch number {
      case ..<Slot.now: frame.parameters[number - 1]
      case Slot.now: .integer(start)
      case Slot.clock: .integer(execution.clock)
      case Slot.recovery: .integer(isStandby ? 1 : 0)
      case Slot.readOnly: .text(Array((isReadOnly ? "on" : "off").utf8))
      case Slot.operation: .text(Array(frame.fired!.operation.utf8))
      case ..<Slot.excluded: row![number - Slot.row]
      case ..<Slot.old: excluded![number - Slot.excluded]
      case ..<Slot.new: frame.fired!.old.map { $0[number - Slot.old] } ?? .null
      default: frame.fired!.new.map { $0[number - Slot.new] } ?? .null
      }
    }
  }

  func read(
    _ sql: String, _ frame: Frame, _ execution: Execution, row: [StoredValue]? = nil, excluded: [StoredValue]? = nil,
    at snapshot: Int? = nil
  ) throws -> [[StoredValue]] {
    let parameters = values(frame, execution, row: row, excluded: excluded)
    return try store.read(
      sql, in: session(execution.session).transaction!, at: snapshot ?? frame.snapshot, parameters)
  }

  // MARK: Start

  private func start(_ frame: Frame, _ execution: Execution) throws {
    let transaction = session(execution.session).transaction!
    frame.snapshot = snapshot(transaction)
    switch frame.work {
    case .statement(let prepared): try start(prepared, frame, execution, transaction)
    case .reference(let foreign, _, let key):
      frame.targets = try rows(of: catalog.table(foreign.parent), foreign.parentColumns, key, frame, execution)
    case .children(let foreign, let child, let key):
      let table = try catalog.table(child)
      frame.targets = try rows(of: table, foreign.columns, key, frame, execution)
      shuffle(frame, table, execution)
    case .trigger: break
    }
  }

  /// The rows of a table with a key, as the newest state has them.
  private func rows(
    of table: Table, _ columns: [Int], _ key: [StoredValue], _ frame: Frame, _ execution: Execution
  ) throws -> [Frame.Target] {
    frame.snapshot = store.lastCommit
    var row = [StoredValue](repeating: .null, count: table.columns.count)
    for (column, value) in zip(columns, key) { row[column] = value }
    let condition = columns.map { "\(table.columns[$0].name.quotedName) = $\(Slot.row + $0)" }.joined(
      separator: " AND ")
    let sql = "SELECT _rowid_ FROM \(table.name.quotedName) WHERE \(condition) ORDER BY _rowid_"
    return try read(sql, frame, execution, row: row).map { Frame.Target(row: $0.integer(0), cells: []) }
  }

  private func start(
    _ prepared: PreparedStatement, _ frame: Frame, _ execution: Execution, _ transaction: OpenTransaction
  ) throws {
    switch prepared.plan {
    case .select(let plan):
      if let call = plan.call {
        frame.rows = [[try run(call, frame, execution)]]
        return
      }
      try bounds(plan, frame, execution)
      guard let locking = plan.locking else {
        var rows = try query(plan.sql, prepared, frame, execution)
        rows = Array(rows.dropFirst(frame.offset))
        frame.rows = frame.limit.map { Array(rows.prefix($0)) } ?? rows
        return
      }
      if frame.offset > 0 { throw ServerError.unknown("OFFSET with a row lock") }
      try requireWritable(transaction, "SELECT FOR \(locking.mode == .update ? "UPDATE" : "SHARE")")
      frame.targets = try query(plan.sql, prepared, frame, execution).map(Self.target)
      if !locking.isOrdered { shuffle(frame, try catalog.table(locking.table), execution) }
    case .update(let plan):
      try requireWritable(transaction, "UPDATE")
      frame.targets = try query(plan.targets, prepared, frame, execution).map(Self.target)
      shuffle(frame, try catalog.table(plan.table), execution)
    case .delete(let plan):
      try requireWritable(transaction, "DELETE")
      frame.targets = try query(plan.targets, prepared, frame, execution).map(Self.target)
      shuffle(frame, try catalog.table(plan.table), execution)
    case .insert(let plan):
      try requireWritable(transaction, "INSERT")
      guard let source = plan.source else {
        frame.targets = [Frame.Target(row: 0, cells: [])]
        return
      }
      frame.targets = try query(source, prepared, frame, execution).enumerated().map {
        Frame.Target(row: Int64($0), cells: $1)
      }
    case .command: try command(prepared.statement, frame, execution)
    }
  }

  /// Chooses the order of the rows, which PostgreSQL finds in the order of the heap or of an index.
  /// It has a meaning only if the statement has to wait for one of them.
  private func shuffle(_ frame: Frame, _ table: Table, _ execution: Execution) {
    let isOpen =
      frame.targets.count > 1
      && frame.targets.contains {
        !rowLocks.blockers(execution.session, RowKey(table: table.id, row: $0.row), .update).isEmpty
      }
    guard isOpen else { return }
    for index in 0..<(frame.targets.count - 1) {
      frame.targets.swapAt(index, index + choose(frame.targets.count - index))
    }
  }

  private static func target(_ row: [StoredValue]) -> Frame.Target {
    Frame.Target(row: row.integer(row.count - 1), cells: Array(row.dropLast()))
  }

  private func requireWritable(_ transaction: OpenTransaction, _ what: String) throws {
    if transaction.isReadOnly || isReadOnly {
      throw ServerError("25006", "cannot execute \(what) in a read-only transaction")
    }
  }

  /// Runs the query of a statement. One without tables needs no view.
  private func query(
    _ sql: String, _ prepared: PreparedStatement, _ frame: Frame, _ execution: Execution
  ) throws -> [[StoredValue]] {
    let transaction = session(execution.session).transaction!
    guard !prepared.locks.isEmpty else { return try store.database.run(sql, values(frame, execution)) }
    let answer = try read(sql, frame, execution)
    note(read: sql, answer, of: transaction, values(frame, execution))
    return answer
  }

  private func bounds(_ plan: SelectPlan, _ frame: Frame, _ execution: Execution) throws {
    guard let sql = plan.bounds else { return }
    let row = try store.database.run(sql, values(frame, execution))[0]
    if case .integer(let limit) = row[0] {
      guard limit >= 0 else { throw ServerError("2201W", "LIMIT must not be negative") }
      frame.limit = Int(clamping: limit)
    }
    if case .integer(let offset) = row[1] {
      guard offset >= 0 else { throw ServerError("2201X", "OFFSET must not be negative") }
      frame.offset = Int(clamping: offset)
    }
  }

  // MARK: Consequences

  /// The checks of foreign keys and the triggers after the change of a row, in the order of
  /// PostgreSQL: by the names of their triggers, where its own come first.
  private func consequences(of event: Frame.Event, _ frame: Frame) throws -> [Frame] {
    let change = event.change
    let table = try catalog.table(change.table)
    var frames: [Frame] = []
    for child in catalog.children(of: table.name) {
      for foreign in child.foreignKeys where foreign.parent == table.name {
        guard let old = change.old else { continue }
        let key = foreign.parentColumns.map { old[$0] }
        if let new = change.new, foreign.parentColumns.map({ new[$0] }) == key { continue }
        if key.contains(.null) { continue }
        var checked = foreign
        if change.new != nil { checked.cascades = false }
        frames.append(Frame(.children(checked, child: child.name, key: key), owner: frame))
      }
    }
    for foreign in table.foreignKeys {
      guard let new = change.new else { continue }
      let key = foreign.columns.map { new[$0] }
      if let old = change.old, foreign.columns.map({ old[$0] }) == key { continue }
      if key.contains(.null) { continue }
      frames.append(Frame(.reference(foreign, child: table.name, key: key), owner: frame))
    }
    let operation = change.old == nil ? "INSERT" : change.new == nil ? "DELETE" : "UPDATE"
    for trigger in table.triggers where trigger.events.contains(operation) {
      let isNamed = trigger.columns.isEmpty || trigger.columns.contains(where: event.columns.contains)
      guard operation != "UPDATE" || isNamed else { continue }
      let fired = Frame(.trigger(catalog.functions[trigger.function]!))
      fired.fired = (change.old, change.new, operation)
      fired.touched = [change.key]
      frames.append(fired)
    }
    return frames
  }

  private func stepTrigger(_ frame: Frame, _ steps: [TriggerStep], _ execution: Execution) throws -> Bool {
    guard let step = steps.first else { return true }
    let rest = Array(steps.dropFirst())
    let table = catalog.tableNames.compactMap { catalog.find($0) }.first { $0.id == frame.touched.first!.table }!
    let analyzer = Analyzer(catalog)
    let variables = Scope([
      analyzer.relation(of: table, alias: "old", parameters: Slot.old),
      analyzer.relation(of: table, alias: "new", parameters: Slot.new),
    ])
    switch step {
    case .end: frame.work = .trigger([])
    case .when(let branches, let otherwise):
      var chosen = otherwise
      for branch in branches {
        var analyzer = Analyzer(catalog)
        let sql = "SELECT \(try analyzer.condition(branch.condition, variables, "IF"))"
        guard try store.database.run(sql, values(frame, execution))[0][0] == .integer(1) else { continue }
        chosen = branch.steps
        break
      }
      frame.work = .trigger(chosen + rest)
    case .run(let statement):
      let prepared = try Analyzer.prepare(statement, catalog, variables: variables)
      let inner = Frame(.statement(prepared))
      inner.fired = frame.fired
      frame.work = .trigger(rest)
      execution.stack.append(inner)
    }
    return false
  }
}

extension [StoredValue] {
  /// An integer column of a query of the engine's own.
  func integer(_ column: Int) -> Int64 {
    guard case .integer(let value) = self[column] else { fatalError("a column is no integer: \(self)") }
    return value
  }
}
