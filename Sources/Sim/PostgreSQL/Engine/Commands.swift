import System

/// Statements that control transactions and sessions.
extension DatabaseEngine {
  /// Runs a statement that controls the transaction and never waits. Returns nil for others.
  func control(_ session: EngineSession, _ statement: SQLStatement, _ clock: Int64) throws -> StatementAnswer? {
    switch statement {
    case .empty: return StatementAnswer(tag: "")
    case .begin(let modes, let isStart):
      let tag = isStart ? "START TRANSACTION" : "BEGIN"
      if let transaction = session.transaction {
        defer { transaction.isExplicit = true }
        guard transaction.isExplicit else {
          try set(modes, transaction)
          return StatementAnswer(tag: tag)
        }
        return StatementAnswer(tag: tag, notices: [ServerError("25001", "there is already a transaction in progress")])
      }
      begin(session, modes, clock, isExplicit: true)
      return StatementAnswer(tag: tag)
    case .commit: return try endExplicitly(session)
    case .rollback:
      let isExplicit = session.transaction?.isExplicit == true
      try rollback(session.id)
      return StatementAnswer(
        tag: "ROLLBACK", notices: isExplicit ? [] : [ServerError("25P01", "there is no transaction in progress")])
    case .setSessionCharacteristics(let modes):
      session.defaultIsolation = modes.isolation ?? session.defaultIsolation
      session.isDefaultReadOnly = modes.isReadOnly ?? session.isDefaultReadOnly
      return StatementAnswer(tag: "SET")
    case .setTransaction(let modes):
      guard let transaction = session.transaction else {
        return StatementAnswer(
          tag: "SET", notices: [ServerError("25P01", "SET TRANSACTION can only be used in transaction blocks")])
      }
      try set(modes, transaction)
      return StatementAnswer(tag: "SET")
    case .savepoint, .release, .rollbackTo: return try savepoint(session, statement)
    default: return nil
    }
  }

  private func set(_ modes: TransactionModes, _ transaction: OpenTransaction) throws {
    if let isolation = modes.isolation, isolation != transaction.isolation {
      guard !transaction.hasRun else {
        throw ServerError("25001", "SET TRANSACTION ISOLATION LEVEL must be called before any query")
      }
      transaction.isolation = isolation
    }
    if let isReadOnly = modes.isReadOnly { transaction.isReadOnly = isReadOnly }
  }

  private func endExplicitly(_ session: EngineSession) throws -> StatementAnswer {
    guard let transaction = session.transaction, transaction.isExplicit else {
      let (error, _) = try commit(session.id)
      if let error { throw error }
      return StatementAnswer(tag: "COMMIT", notices: [ServerError("25P01", "there is no transaction in progress")])
    }
    let (error, isCommitted) = try commit(session.id)
    if let error { throw error }
    return StatementAnswer(tag: isCommitted ? "COMMIT" : "ROLLBACK")
  }

  private func savepoint(_ session: EngineSession, _ statement: SQLStatement) throws -> StatementAnswer {
    guard let transaction = session.transaction, transaction.isExplicit else {
      throw ServerError("25P01", "SAVEPOINT can only be used in transaction blocks")
    }
    func find(_ name: String) throws -> Int {
      guard let place = transaction.savepoints.lastIndex(where: { $0.name == name }) else {
        throw ServerError("3B001", "savepoint \"\(name)\" does not exist")
      }
      return place
    }
    switch statement {
    case .savepoint(let name):
      transaction.savepoints.append(
        OpenTransaction.Savepoint(
          name: name, changes: transaction.changes.count, rowLocks: transaction.rowLocks.count,
          objectLocks: transaction.objectLocks.count, notifications: transaction.notifications.count,
          listening: transaction.listening.count))
      return StatementAnswer(tag: "SAVEPOINT")
    case .release(let name):
      transaction.savepoints.removeSubrange(try find(name)...)
      return StatementAnswer(tag: "RELEASE")
    case .rollbackTo(let name):
      let place = try find(name)
      try undo(transaction, to: transaction.savepoints[place])
      transaction.savepoints.removeSubrange((place + 1)...)
      transaction.hasFailed = false
      return StatementAnswer(tag: "ROLLBACK")
    default: throw ServerError.unknown("this statement")
    }
  }

  // MARK: Commands within a transaction

  /// Runs a command that is neither a query nor a change of rows.
  func command(_ statement: SQLStatement, _ frame: Frame, _ execution: Execution) throws {
    let session = session(execution.session)
    switch statement {
    case .listen(let channel): session.transaction!.listening.append((channel, true))
    case .unlisten(let channel): session.transaction!.listening.append((channel, false))
    case .notify(let channel, let payload): notify(channel, payload, session)
    case .lock, .show, .set, .deallocate, .discardAll: break
    default: try define(statement, execution)
    }
  }

  private func notify(_ channel: String, _ payload: [UInt8], _ session: EngineSession) {
    let isKnown = session.transaction!.notifications.contains { $0.channel == channel && $0.payload == payload }
    if !isKnown { session.transaction!.notifications.append((channel, payload)) }
  }

  /// Runs a function that acts on the server.
  func run(_ call: ServerCall, _ frame: Frame, _ execution: Execution) throws -> StoredValue {
    let arguments = try store.database.run(call.arguments, values(frame, execution))[0]
    let session = session(execution.session)
    switch call.name {
    case "pg_advisory_lock", "pg_advisory_xact_lock", "pg_try_advisory_lock", "pg_try_advisory_xact_lock":
      let object = LockedObject.advisory(arguments.integer(0))
      let isOfSession = !call.name.contains("xact")
      if call.name.contains("try"), !objectLocks.blockers(session.id, object, .exclusive).isEmpty { return .integer(0) }
      try lock(execution, object, .exclusive, ofSession: isOfSession)
      if isOfSession { session.sessionLocks.append(arguments.integer(0)) }
      return call.name.contains("try") ? .integer(1) : .text([])
    case "pg_advisory_unlock":
      guard let place = session.sessionLocks.lastIndex(of: arguments.integer(0)) else { return .integer(0) }
      session.sessionLocks.remove(at: place)
      return .integer(objectLocks.release(session.id, .advisory(arguments.integer(0)), ofSession: true) ? 1 : 0)
    case "pg_advisory_unlock_all":
      for key in session.sessionLocks { _ = objectLocks.release(session.id, .advisory(key), ofSession: true) }
      session.sessionLocks = []
      return .text([])
    case "pg_notify":
      guard case .text(let channel) = arguments[0] else { throw ServerError("22023", "channel name cannot be empty") }
      let payload = if case .text(let bytes) = arguments[1] { bytes } else { [UInt8]() }
      notify(String(decoding: channel, as: UTF8.self), payload, session)
      return .text([])
    case "pg_backend_pid": return .integer(Int64(session.id))
    case "version": return .text(Array("PostgreSQL 15 (simulated)".utf8))
    default: throw ServerError.unknown("no function \(call.name)")
    }
  }

  /// The answer of a statement that has ended.
  func answer(_ frame: Frame, _ execution: Execution) -> StatementAnswer {
    let tag =
      switch execution.statement.statement {
      case .select: "SELECT \(frame.rows.count)"
      case .insert: "INSERT 0 \(frame.count)"
      case .update: "UPDATE \(frame.count)"
      case .delete: "DELETE \(frame.count)"
      case .createTable: "CREATE TABLE"
      case .createIndex: "CREATE INDEX"
      case .createFunction: "CREATE FUNCTION"
      case .createTrigger: "CREATE TRIGGER"
      case .dropTable: "DROP TABLE"
      case .dropIndex: "DROP INDEX"
      case .dropFunction: "DROP FUNCTION"
      case .dropTrigger: "DROP TRIGGER"
      case .addColumn: "ALTER TABLE"
      case .lock: "LOCK TABLE"
      case .listen: "LISTEN"
      case .unlisten: "UNLISTEN"
      case .notify: "NOTIFY"
      case .show: "SHOW"
      case .set(_, let value, _): value == nil ? "RESET" : "SET"
      case .deallocate(let name): name == nil ? "DEALLOCATE ALL" : "DEALLOCATE"
      case .discardAll: "DISCARD ALL"
      default: ""
      }
    return StatementAnswer(rows: frame.rows, tag: tag)
  }
}
