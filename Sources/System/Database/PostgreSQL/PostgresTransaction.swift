import Environment

/// One attempt at a transaction on a connection.
///
/// At READ COMMITTED each statement reads what is committed when it begins. So BEGIN is sent with
/// the first statement that locks or writes, and a transaction that only reads needs neither BEGIN
/// nor COMMIT.
final class PostgresTransaction: RemoteSession {
  /// How an attempt ended.
  enum Outcome {
    /// It is durable, or has changed nothing.
    case committed(hasWritten: Bool)
    /// Its body threw, and its changes are undone.
    case thrown(any Error)
    /// It failed, and nothing of it is kept.
    case failed(PostgresFailure)
    /// The connection ended after COMMIT was sent and before its answer.
    case unknown(PostgresFailure, CommitMark?)
  }

  private let connection: PostgresConnection
  private var hasBegun = false
  private var hasWritten = false
  private let isMarked: Bool
  private var mark: CommitMark?
  private var failure: PostgresFailure?
  private var wakesOthers = false
  private(set) var effects = 0
  /// What is sent with the next statement.
  private var next = PostgresRequests()

  /// Begins an attempt. It is marked if it has to be found again after a COMMIT without an answer.
  init(_ connection: PostgresConnection, isMarked: Bool) {
    self.connection = connection
    self.isMarked = isMarked
  }

  /// Runs the body and ends the transaction.
  func run(_ log: Log, _ body: (SQLSession) async throws -> Void) async -> Outcome {
    do {
      try await body(SQLSession(self, log: log))
    } catch {
      if hasBegun { await connection.endWithoutWaiting(commits: false) }
      // The body may have replaced the error of a statement by its own.
      if let failure, failure.remedy != .none || !(error is DatabaseError) && failure.isUnavailable {
        return .failed(failure)
      }
      if case .stopped? = failure { return .failed(failure!) }
      return .thrown(error)
    }
    // A body that goes on after a failed statement has no transaction any more.
    if let failure {
      if hasBegun { await connection.endWithoutWaiting(commits: false) }
      return .failed(failure)
    }
    guard hasBegun || hasWritten else { return .committed(hasWritten: false) }
    guard hasWritten else {
      await connection.endWithoutWaiting(commits: true)
      return .committed(hasWritten: false)
    }
    return await commit()
  }

  private func commit() async -> Outcome {
    let requests = takeRequests(writing: true)
    do throws(PostgresFailure) {
      return try await connection.commit(after: requests, wakingOthers: wakesOthers)
        ? .committed(hasWritten: true) : .failed(.lost("the server undid the transaction"))
    } catch {
      // An answer other than the end of the connection says that nothing was committed.
      if case .server(let fields) = error, !fields.endsConnection {
        // A refused statement before COMMIT leaves the transaction open.
        if wakesOthers || !requests.isEmpty { await connection.endWithoutWaiting(commits: false) }
        return .failed(error)
      }
      return .unknown(error, mark)
    }
  }

  // MARK: RemoteSession

  func wakeOthers() { wakesOthers = true }

  func lock(_ lock: SQLLock) async throws(DatabaseError) {
    _ = try await run("SELECT pg_advisory_xact_lock($1)", [.int(lock.key)], .locks)
  }

  func run(_ statement: SQLText, _ values: [SQLValue]) async throws(DatabaseError) -> SQLResult {
    try await run(statement, values, statement.effect)
  }

  func write(_ statement: SQLText, _ values: [SQLValue]) async throws(DatabaseError) {
    try requireIntact()
    hasWritten = true
    effects += 1
    next.append(statement.text(for: .postgreSQL), values.map(Self.encode))
    if next.isFull { try await sendRequests() }
  }

  /// Sends the statements that wait, and waits until they have run.
  private func sendRequests() async throws(DatabaseError) {
    do throws(PostgresFailure) { try await connection.run(takeRequests(writing: true)) } catch { throw fail(error) }
  }

  /// Returns what has to be sent before a statement: BEGIN, the mark of a transaction that writes
  /// for the first time, and the statements that wait.
  private func takeRequests(writing: Bool, locking: Bool = false) -> PostgresRequests {
    var requests = next
    next = PostgresRequests()
    let writes = writing || !requests.isEmpty
    if !hasBegun, writes || locking { (hasBegun, requests.begins) = (true, true) }
    if writes, mark == nil, isMarked {
      mark = connection.nextMark()
      requests.mark = mark
    }
    return requests
  }

  private func run(
    _ statement: SQLText, _ values: [SQLValue], _ effect: SQLText.Effect
  ) async throws(DatabaseError) -> SQLResult {
    try requireIntact()
    do throws(PostgresFailure) {
      let (result, described) = try await connection.run(
        statement.text(for: .postgreSQL), values.map(Self.encode),
        after: takeRequests(writing: effect == .writes, locking: effect == .locks))
      if effect == .writes {
        hasWritten = true
        effects += 1
      }
      let rows = try result.rows.map { row throws(PostgresFailure) in try Self.decode(row, described.columns) }
      return SQLResult(rows: rows, changed: result.count)
    } catch {
      throw fail(error)
    }
  }

  func run(script: String) async throws(DatabaseError) {
    try requireIntact()
    if !next.isEmpty { try await sendRequests() }
    do throws(PostgresFailure) {
      let begins = !hasBegun
      hasBegun = true
      hasWritten = true
      effects += 1
      try await connection.run(script: script, begins: begins)
    } catch {
      throw fail(error)
    }
  }

  private func requireIntact() throws(DatabaseError) { if let failure { throw failure.error } }

  private func fail(_ failure: PostgresFailure) -> DatabaseError {
    self.failure = failure
    effects += 1
    return failure.error
  }

  private static func encode(_ value: SQLValue) -> PostgresValue {
    switch value {
    case .null: .null
    case .int(let number): .int(number)
    case .text(let text): .text(text)
    case .blob(let bytes): .bytes(bytes)
    }
  }

  private static func decode(_ row: PostgresRow, _ columns: [PostgresColumn]) throws(PostgresFailure) -> [SQLValue] {
    guard row.count == columns.count else { throw .lost("protocol error: a row of \(row.count) columns") }
    var values: [SQLValue] = []
    values.reserveCapacity(columns.count)
    for (index, column) in columns.enumerated() {
      do throws(PostgresProtocolError) {
        let format = PostgresValue.format(of: column.type)
        values.append(sql(try PostgresValue(decoding: row[index], as: column.type, format)))
      } catch {
        throw PostgresFailure(error)
      }
    }
    return values
  }

  private static func sql(_ value: PostgresValue) -> SQLValue {
    switch value {
    case .null: .null
    case .bool(let flag): .int(flag ? 1 : 0)
    case .int(let number): .int(number)
    case .text(let text): .text(text)
    case .bytes(let bytes): .blob(bytes)
    case .uuid(let bytes): .text(Hex.encode(bytes))
    case .time(let time): .text(time.rfc3339)
    case .endOfTime(let isPositive): .text(isPositive ? "infinity" : "-infinity")
    }
  }
}

extension PostgresFailure {
  /// Whether the service should answer 503.
  fileprivate var isUnavailable: Bool { error.isUnavailable }
}
