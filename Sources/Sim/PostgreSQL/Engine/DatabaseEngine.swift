import System

/// A session of the engine.
final class EngineSession {
  let id: Int
  var transaction: OpenTransaction?
  var defaultIsolation = IsolationLevel.readCommitted
  var isDefaultReadOnly = false
  /// The channels that it listens to, in order.
  var channels: [String] = []
  var sessionLocks: [Int64] = []

  init(_ id: Int) { self.id = id }
}

/// The transactions of the simulated PostgreSQL, as a state machine: statements in, results and
/// waits out. It knows no clock, no network and no chance; what PostgreSQL leaves open is the
/// caller's choice.
///
/// Transactions interleave by statement, as in PostgreSQL at READ COMMITTED (PostgreSQL 15, §13.2):
/// a statement finds its rows in the state that was committed when it started, together with what
/// its own transaction has changed. It locks each row before it changes it, waits for those that
/// others have locked, and evaluates its condition again for a row that has changed in between.
final class DatabaseEngine {
  var catalog = Catalog()
  let store: RowStore
  private(set) var sessions: [EngineSession] = []
  private var lastSession = 0
  private var lastTransaction = 0
  private var lastWait = 0
  /// The executions that wait, in the order in which they began to.
  private(set) var waiting: [Execution] = []
  var rowLocks = RowLocks()
  var objectLocks = ObjectLocks()
  /// The last number of each identity column, by table and column.
  var sequences: [String: Int64] = [:]
  /// The last number of a row of each table.
  var lastRows: [Int: Int64] = [:]
  /// Rendered predicates of partial indexes and conditions of checks, for this version of the
  /// catalog.
  var rendered: [String: String] = [:]
  var renderedVersion = 0
  var definitions = 0
  /// The numbers of identity columns that are stored.
  var saved: [String: Int64] = [:]
  /// Committed serializable transactions that ran beside an open one.
  var serializableCommits: [SerializableCommit] = []
  /// Notifications of committed transactions that the caller has not taken yet.
  var delivered: [(session: Int, sender: Int, channel: String, payload: [UInt8])] = []
  /// Makes the choices that PostgreSQL leaves open: the order in which a statement finds its rows,
  /// and which of several waiting sessions goes on first. Returns a number below its argument.
  var choose: (Int) -> Int = { _ in 0 }
  /// Whether the server refuses to write, as a standby does.
  var isReadOnly = false
  /// What the simulated server does not know, and was asked to do. Each is a defect of the run.
  private(set) var unknown: [String] = []

  /// Opens a database. Reads its catalog if it was written before.
  init(_ database: StatementDatabase) throws {
    store = RowStore(database)
    store.columnNames = { [unowned self] table in catalog.find(table)!.columns.map { $0.name.quotedName } }
    try load()
  }

  // MARK: Sessions

  func open() -> Int {
    lastSession += 1
    sessions.append(EngineSession(lastSession))
    return lastSession
  }

  func session(_ id: Int) -> EngineSession { sessions.first { $0.id == id }! }

  /// Ends a session. Its transaction is rolled back.
  func close(_ id: Int) throws {
    guard sessions.contains(where: { $0.id == id }) else { return }
    try rollback(id)
    let session = session(id)
    for key in session.sessionLocks { _ = objectLocks.release(id, .advisory(key), ofSession: true) }
    sessions.removeAll { $0.id == id }
  }

  // MARK: Statements

  /// Runs a statement. Returns nil if it waits.
  /// - Throws: `DatabaseError` if the disk failed: the server crashes.
  func run(
    _ id: Int, _ prepared: PreparedStatement, _ parameters: [StoredValue], text: [UInt8] = [], clock: Int64
  ) throws -> StatementResult? {
    let session = session(id)
    do {
      try requireUsable(id, prepared.statement)
      if let answer = try control(session, prepared.statement, clock) { return .answer(answer) }
      let transaction = session.transaction ?? begin(session, TransactionModes(), clock, isExplicit: false)
      transaction.hasRun = true
      var current = prepared
      if current.catalogVersion != catalog.version {
        current = try Analyzer.prepare(prepared.statement, catalog, parameters: prepared.parameters)
      }
      // Parse analysis takes the snapshot of the transaction, before it waits for tables.
      if transaction.isolation != .readCommitted, transaction.snapshot == nil {
        if case .command = current.plan {} else { transaction.snapshot = store.lastCommit }
      }
      return try drive(Execution(id, current, parameters, text: text, clock: clock))
    } catch let error as ServerError {
      return .failure(try failed(session, error))
    }
  }

  /// Runs an execution until it ends, or returns nil if it waits.
  private func drive(_ execution: Execution) throws -> StatementResult? {
    let session = session(execution.session)
    do {
      try lockTables(execution)
      let first = execution.stack[0]
      while let frame = execution.stack.last {
        if try step(frame, execution), execution.stack.last === frame { execution.stack.removeLast() }
      }
      execution.wait = nil
      return .answer(answer(first, execution))
    } catch let blocked as Blocked {
      wait(execution, blocked.wait)
      return nil
    } catch let error as ServerError {
      leaveQueues(execution)
      return .failure(try failed(session, error))
    }
  }

  private func lockTables(_ execution: Execution) throws {
    var locks = execution.statement.locks
    if case .lock = execution.statement.statement, session(execution.session).transaction?.isExplicit != true {
      throw ServerError("25P01", "LOCK TABLE can only be used in transaction blocks")
    }
    if Self.isDefinition(execution.statement.statement) {
      locks = [(0, .accessExclusive)]
    } else if !locks.isEmpty {
      locks.insert((0, .accessShare), at: 0)
    }
    while execution.locked < locks.count {
      let (table, mode) = locks[execution.locked]
      var policy = LockPolicy.wait
      if case .lock(_, _, let stated) = execution.statement.statement { policy = stated }
      try lock(execution, .table(table), mode, policy)
      execution.locked += 1
    }
  }

  private func wait(_ execution: Execution, _ wait: StatementWait) {
    lastWait += 1
    execution.currentWait = lastWait
    if execution.wait == nil {
      execution.waitNumber = lastWait
      waiting.append(execution)
    }
    if let old = execution.wait, old != wait { leaveQueues(execution) }
    execution.wait = wait
    switch wait {
    case .row(let key, let mode): rowLocks.enqueue(execution.session, key, mode)
    case .object(let object, let mode): objectLocks.enqueue(execution.session, object, mode)
    case .transaction: break
    }
  }

  private func leaveQueues(_ execution: Execution) {
    switch execution.wait {
    case .row(let key, _): rowLocks.leaveQueue(execution.session, key)
    case .object(let object, _): objectLocks.leaveQueue(execution.session, object)
    case .transaction, nil: break
    }
  }

  // MARK: Waits

  /// The sessions that a waiting session waits for; empty if it can go on, or does not wait.
  func blockers(of id: Int) -> [Int] {
    guard let execution = waiting.first(where: { $0.session == id }), let wait = execution.wait else { return [] }
    switch wait {
    case .row(let key, let mode): return rowLocks.blockers(id, key, mode)
    case .object(let object, let mode): return objectLocks.blockers(id, object, mode)
    case .transaction(let number, let session, let epoch):
      let transaction = sessions.first { $0.id == session }?.transaction
      return transaction?.id == number && transaction?.epoch == epoch ? [session] : []
    }
  }

  func isWaiting(_ id: Int) -> Bool { waiting.contains { $0.session == id } }

  /// The executions whose wait has ended.
  private var ready: [Execution] { waiting.filter { blockers(of: $0.session).isEmpty } }

  /// Whether a waiting session can go on.
  var hasReady: Bool { !ready.isEmpty }

  /// Lets sessions go on whose wait has ended, until a statement of one has ended.
  /// - Returns: the session and the result; nil if all others wait.
  func settle() throws -> (session: Int, result: StatementResult)? {
    while true {
      let ready = ready
      guard !ready.isEmpty else {
        // Who waited for a row that has a new version now queues for that one.
        for execution in waiting {
          if case .row(let key, let mode)? = execution.wait { rowLocks.enqueue(execution.session, key, mode) }
        }
        return nil
      }
      let execution = ready[ready.count == 1 ? 0 : choose(ready.count)]
      let place = waiting.firstIndex { $0 === execution }!
      waiting.remove(at: place)
      if let result = try drive(execution) { return (execution.session, result) }
      // It keeps its place in the order.
      waiting.insert(execution, at: min(place, waiting.count))
    }
  }

  /// Whether a waiting session waits for itself over others.
  func isDeadlocked(_ id: Int) -> Bool {
    var pending = blockers(of: id)
    var seen: Set<Int> = []
    while let next = pending.popLast() {
      if next == id { return true }
      if seen.insert(next).inserted { pending += blockers(of: next) }
    }
    return false
  }

  /// Ends the wait of a session with an error: a deadlock, a time-out, or a cancellation.
  func interrupt(_ id: Int, _ error: ServerError) throws -> StatementResult? {
    guard let place = waiting.firstIndex(where: { $0.session == id }) else { return nil }
    leaveQueues(waiting.remove(at: place))
    return .failure(try failed(session(id), error))
  }

  // MARK: Transactions

  @discardableResult
  func begin(_ session: EngineSession, _ modes: TransactionModes, _ clock: Int64, isExplicit: Bool) -> OpenTransaction {
    lastTransaction += 1
    let transaction = OpenTransaction(
      id: lastTransaction, session: session.id, isolation: modes.isolation ?? session.defaultIsolation,
      isReadOnly: modes.isReadOnly ?? session.isDefaultReadOnly, start: clock, isExplicit: isExplicit)
    session.transaction = transaction
    return transaction
  }

  /// Handles a failed statement: what its transaction did since the last savepoint is undone.
  func failed(_ session: EngineSession, _ error: ServerError) throws -> ServerError {
    if error.code == ServerError.unknownCode { unknown.append(error.message) }
    guard let transaction = session.transaction else { return error }
    transaction.pending = nil
    try undo(transaction, to: transaction.savepoints.last)
    transaction.hasFailed = true
    return error
  }

  /// Undoes what a transaction did since a savepoint, or all of it.
  func undo(_ transaction: OpenTransaction, to savepoint: OpenTransaction.Savepoint?) throws {
    let first = savepoint?.changes ?? 0
    if transaction.changes.count > first || transaction.formerCatalog != nil {
      if let former = transaction.formerCatalog {
        guard savepoint == nil else { throw ServerError.unknown("a savepoint around a change of the catalog") }
        catalog = former
        transaction.formerCatalog = nil
        try load(afterRollbackOf: transaction)
      }
      transaction.changes.removeSubrange(first...)
    }
    transaction.epoch += 1
    while transaction.rowLocks.count > savepoint?.rowLocks ?? 0 {
      let lock = transaction.rowLocks.removeLast()
      rowLocks.release(transaction.session, lock.key, lock.mode)
    }
    while transaction.objectLocks.count > savepoint?.objectLocks ?? 0 {
      let lock = transaction.objectLocks.removeLast()
      _ = objectLocks.release(transaction.session, lock.object, ofSession: false, lock.mode)
    }
    transaction.notifications.removeSubrange((savepoint?.notifications ?? 0)...)
    transaction.listening.removeSubrange((savepoint?.listening ?? 0)...)
  }

  /// Rolls back the transaction of a session, and ends its wait.
  func rollback(_ id: Int) throws {
    if let place = waiting.firstIndex(where: { $0.session == id }) { leaveQueues(waiting.remove(at: place)) }
    let session = session(id)
    guard let transaction = session.transaction else { return }
    transaction.savepoints = []
    try undo(transaction, to: nil)
    try store.forget(transaction)
    session.transaction = nil
  }

  /// Commits the transaction of a session. A transaction that has failed is rolled back.
  /// - Returns: the error that refused it, and whether it is committed.
  func commit(_ id: Int) throws -> (error: ServerError?, isCommitted: Bool) {
    let session = session(id)
    guard let transaction = session.transaction else { return (nil, true) }
    if transaction.hasFailed {
      try rollback(id)
      return (nil, false)
    }
    if transaction.isolation == .serializable, let error = serializationFailure(transaction) {
      try rollback(id)
      return (error, false)
    }
    if !transaction.changes.isEmpty || transaction.formerCatalog != nil {
      let others = sessions.compactMap(\.transaction).filter { $0 !== transaction }
      let isKept = others.contains { $0.snapshot != nil || isWaiting($0.session) }
      try store.commit(transaction, isKept: isKept) { database in try saveSequences(transaction, database) }
      for change in transaction.changes { rowLocks.dissolveQueue(change.key) }
      noteCommit(of: transaction, others)
    }
    for (channel, begins) in transaction.listening {
      session.channels.removeAll { channel == nil || $0 == channel }
      if begins, let channel { session.channels.append(channel) }
    }
    for notification in transaction.notifications {
      for listener in sessions where listener.channels.contains(notification.channel) {
        delivered.append((listener.id, id, notification.channel, notification.payload))
      }
    }
    transaction.changes = []
    transaction.formerCatalog = nil
    transaction.notifications = []
    transaction.listening = []
    transaction.savepoints = []
    try undo(transaction, to: nil)
    try store.forget(transaction)
    session.transaction = nil
    return (nil, true)
  }

  func lock(
    _ execution: Execution, _ object: LockedObject, _ mode: TableLockMode, _ policy: LockPolicy = .wait,
    ofSession: Bool = false
  ) throws {
    let id = execution.session
    if !ofSession, objectLocks.holds(id, object, mode) { return }
    guard objectLocks.blockers(id, object, mode).isEmpty else {
      if policy == .wait { throw Blocked(wait: .object(object, mode)) }
      throw ServerError("55P03", "could not obtain lock on relation")
    }
    objectLocks.leaveQueue(id, object)
    objectLocks.grant(id, object, mode, ofSession: ofSession)
    if !ofSession { session(id).transaction!.objectLocks.append((object, mode)) }
  }
}

extension DatabaseEngine {
  /// Parses and analyzes a statement for a session.
  /// - Throws: `ServerError`; the caller passes it to `refuse`.
  func prepare(_ id: Int, _ parsed: SQLParser.Parsed, _ parameters: [SQLType] = []) throws -> PreparedStatement {
    try requireUsable(id, parsed.statement)
    return try Analyzer.prepare(parsed.statement, catalog, parameters: parameters)
  }

  private static var isAborted: ServerError {
    ServerError("25P02", "current transaction is aborted, commands ignored until end of transaction block")
  }

  /// Refuses a statement in a transaction that has failed.
  func requireUsable(_ id: Int, _ statement: SQLStatement) throws {
    if session(id).transaction?.hasFailed == true, !statement.endsTransaction { throw Self.isAborted }
  }

  /// Handles an error that was found before a statement ran.
  func refuse(_ id: Int, _ error: ServerError) throws -> ServerError { try failed(session(id), error) }
}
