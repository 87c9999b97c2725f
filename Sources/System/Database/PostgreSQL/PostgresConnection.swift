import Environment

/// A connection to a PostgreSQL server. Each statement is prepared once and kept.
///
/// Used by one task at a time. Every error but one of a statement ends the connection.
final class PostgresConnection: @unchecked Sendable {
  /// The oldest server whose SQL Parley uses.
  static let oldestVersion = 13
  /// Time beyond a statement's own for its answer to arrive.
  private static let slack: Duration = .seconds(2)

  /// The server.
  let address: SocketAddress
  /// Which search for the primary has found the server.
  let generation: Int
  /// Whether the server takes no writes.
  private(set) var isReadOnly = false
  /// Whether the server is a standby.
  private(set) var isStandby = false

  private let environment: Environment
  private let options: PostgresOptions
  private let connection: any Connection
  private let server: PostgresServer
  private var pipeline: PostgresPipeline
  private var statements: [String: (name: String, statement: PostgresStatement)] = [:]
  /// The name of the connection in `last_commits`. No other has it.
  private let name: String
  private var lastMark: Int64 = 0
  private var isBroken = false
  /// Whether another node has notified since the last call of `isWoken`.
  private var hasHeard = false

  private init(
    _ environment: Environment, _ options: PostgresOptions, _ address: SocketAddress, generation: Int,
    _ opened: PostgresOpening.Opened
  ) {
    self.environment = environment
    self.options = options
    self.address = address
    self.generation = generation
    connection = opened.connection
    server = opened.server
    pipeline = PostgresPipeline(opened.parser)
    name = Hex.encode(environment.entropy.bytes(16))
  }

  // MARK: Opening

  /// Connects and logs in.
  /// - Throws: `PostgresFailure`.
  static func open(
    _ environment: Environment, _ options: PostgresOptions, to address: SocketAddress, generation: Int
  ) async throws(PostgresFailure) -> PostgresConnection {
    do {
      let deadline = environment.clock.now + options.url.connectTimeout
      let opening = PostgresOpening(environment: environment, options: options, address: address, deadline: deadline)
      let opened = try await opening.open()
      do {
        let connection = PostgresConnection(environment, options, address, generation: generation, opened)
        try connection.check()
        try await connection.prepareSession(deadline)
        return connection
      } catch {
        opened.connection.reset()
        throw error
      }
    } catch {
      throw PostgresFailure(error)
    }
  }

  private func check() throws(PostgresRefusal) {
    guard let version = server.majorVersion else {
      throw PostgresRefusal(reason: "the server does not tell its version")
    }
    guard version >= Self.oldestVersion else {
      throw PostgresRefusal(
        reason: "PostgreSQL \(version) is too old: use \(Self.oldestVersion) or later")
    }
    if let encoding = server["server_encoding"], encoding != "UTF8" {
      throw PostgresRefusal(reason: "the database has the encoding \(encoding): create it with ENCODING 'UTF8'")
    }
  }

  private static let begin = "BEGIN ISOLATION LEVEL READ COMMITTED"
  private static let plain = PostgresStatement(parameters: [], columns: [])

  /// Sets the bounds of the session, prepares the statements around transactions, and looks whether
  /// the server takes writes.
  private func prepareSession(_ deadline: Instant) async throws {
    let milliseconds = options.statementTimeout.nanoseconds / 1_000_000
    let idle = (options.idleTimeout ?? options.statementTimeout).nanoseconds / 1_000_000
    let question = pipeline.query(
      """
      SET statement_timeout = \(milliseconds); SET lock_timeout = \(milliseconds);
      SET idle_in_transaction_session_timeout = \(idle);
      SELECT pg_catalog.set_config('synchronous_commit', 'on', false)
      WHERE pg_catalog.current_setting('synchronous_commit') = 'off';
      SELECT pg_catalog.pg_is_in_recovery()::text, pg_catalog.current_setting('transaction_read_only')
      """)
    _ = pipeline.prepare("begin", Self.begin)
    _ = pipeline.prepare("commit", "COMMIT")
    _ = pipeline.prepare("rollback", "ROLLBACK")
    if let wakeUps = options.wakeUps { _ = pipeline.prepare("notify", wakeUps.notify) }
    let result = try await exchange(until: pipeline.sync(), wanted: question, deadline)
    guard let row = result.rows.last, row.count == 2, let recovery = row[0], let readOnly = row[1] else {
      throw PostgresProtocolError("the server does not tell whether it is a standby")
    }
    isStandby = recovery.elementsEqual("true".utf8)
    isReadOnly = isStandby || readOnly.elementsEqual("on".utf8)
  }

  // MARK: State

  /// Whether another transaction may use the connection.
  var isUsable: Bool {
    !isBroken && !connection.hasEnded && statements.count <= environment.limits[.postgresStatements]
  }

  /// Ends the connection in order.
  func close() {
    isBroken = true
    pipeline.terminate()
    // Nobody waits for it; the server notices the end in any case.
    _ = try? connection.writeNow(pipeline.takeOutput()[...])
    connection.close()
  }

  // MARK: Statements

  /// Returns the mark of the next transaction.
  func nextMark() -> CommitMark {
    lastMark += 1
    return CommitMark(connection: name, number: lastMark)
  }

  /// Runs a statement after other requests. All travel together.
  func run(_ sql: String, _ values: [PostgresValue], after requests: PostgresRequests) async throws(PostgresFailure)
    -> (
      PostgresResult, PostgresStatement
    )
  {
    let deadline = environment.clock.now + options.statementTimeout + Self.slack
    do {
      try await begin(requests, deadline)
      let (ticket, statement) = try await begin(sql, values, deadline)
      let result = try await exchange(until: pipeline.sync(), wanted: ticket, deadline)
      return (result, statement)
    } catch {
      throw end(error)
    }
  }

  /// Runs requests that wait for no other statement.
  func run(_ requests: PostgresRequests) async throws(PostgresFailure) {
    let deadline = environment.clock.now + options.statementTimeout + Self.slack
    do {
      try await begin(requests, deadline)
      _ = try await exchange(until: pipeline.sync(), wanted: nil, deadline)
    } catch {
      throw end(error)
    }
  }

  /// Adds requests to what is sent next.
  private func begin(_ requests: PostgresRequests, _ deadline: Instant) async throws {
    if requests.begins { _ = pipeline.run("begin", Self.plain, []) }
    if let mark = requests.mark {
      _ = try await begin(LastCommits.write, [.text(mark.connection), .int(mark.number)], deadline)
    }
    for (sql, values) in requests.statements { _ = try await begin(sql, values, deadline) }
  }

  /// Adds a statement to what is sent next. One that is not prepared yet is prepared at once, which
  /// sends what comes before it.
  private func begin(
    _ sql: String, _ values: [PostgresValue], _ deadline: Instant
  ) async throws -> (ticket: PostgresPipeline.Ticket, statement: PostgresStatement) {
    let prepared = try await prepared(sql, deadline)
    require(values.count == prepared.statement.parameters.count, "a wrong number of values for: \(sql)")
    return (pipeline.run(prepared.name, prepared.statement, values), prepared.statement)
  }

  private func prepared(
    _ sql: String, _ deadline: Instant
  ) async throws -> (name: String, statement: PostgresStatement) {
    if let known = statements[sql] { return known }
    let new = try await prepare(sql, deadline)
    statements[sql] = new
    return new
  }

  private func prepare(_ sql: String, _ deadline: Instant) async throws -> (name: String, statement: PostgresStatement)
  {
    let name = "s\(statements.count)"
    let ticket = pipeline.prepare(name, sql)
    var found: PostgresStatement?
    _ = try await exchange(until: pipeline.sync(), wanted: nil, deadline) { event in
      if case .prepared(ticket, let statement) = event { found = statement }
    }
    guard let found else { throw PostgresProtocolError("a statement was not described") }
    return (name, found)
  }

  /// Runs any number of statements without parameters, at first BEGIN if the transaction has not
  /// begun.
  func run(script: String, begins: Bool) async throws(PostgresFailure) {
    let deadline = environment.clock.now + options.statementTimeout + Self.slack
    do {
      if begins {
        let begin = pipeline.run("begin", Self.plain, [])
        _ = try await exchange(until: pipeline.sync(), wanted: begin, deadline)
      }
      let ticket = pipeline.query(script)
      _ = try await exchange(until: ticket, wanted: ticket, deadline)
    } catch {
      throw end(error)
    }
  }

  /// Runs requests and commits, and waits until the transaction is durable. Returns false if the
  /// server undid it.
  func commit(after requests: PostgresRequests, wakingOthers wakes: Bool) async throws(PostgresFailure) -> Bool {
    let deadline = environment.clock.now + options.statementTimeout + Self.slack
    do {
      try await begin(requests, deadline)
      // The server notifies when the transaction is committed, and not if it is undone.
      if wakes, options.wakeUps != nil { _ = pipeline.run("notify", Self.plain, []) }
      let ticket = pipeline.run("commit", Self.plain, [])
      // COMMIT of a transaction in which a statement has failed undoes it.
      return try await exchange(until: pipeline.sync(), wanted: ticket, deadline).tag == "COMMIT"
    } catch {
      throw end(error)
    }
  }

  /// Ends a transaction that has changed nothing, or that has failed. The answer is read with those
  /// of the next transaction.
  func endWithoutWaiting(commits: Bool) async {
    guard !isBroken else { return }
    _ = pipeline.run(commits ? "commit" : "rollback", Self.plain, [])
    _ = pipeline.sync()
    do {
      try await connection.write(pipeline.takeOutput(), deadline: environment.clock.now + Self.slack)
    } catch {
      isBroken = true
    }
  }

  // MARK: Wake-ups

  /// Begins to listen to the other nodes.
  func listen() async throws(PostgresFailure) {
    guard let wakeUps = options.wakeUps else { return }
    try await run(script: "LISTEN \(wakeUps.channel)", begins: false)
  }

  /// Waits until another node has notified since the last call, or until `deadline`. Returns
  /// whether one has.
  func isWoken(before deadline: Instant) async throws(PostgresFailure) -> Bool {
    do {
      while !hasHeard {
        while let event = try pipeline.next() {
          switch event {
          case .notification(_, let sender): note(sender)
          case .ending(let fields):
            isBroken = true
            throw fields
          default: continue
          }
        }
        if hasHeard { break }
        let bytes: [UInt8]
        do { bytes = try await connection.read(atMost: 131_072, deadline: deadline) } catch NetworkError.timedOut {
          return false
        }
        if bytes.isEmpty { throw NetworkError.closed }
        pipeline.receive(bytes)
      }
      hasHeard = false
      return true
    } catch {
      throw end(error)
    }
  }

  private func note(_ sender: String) { if sender != options.wakeUps?.sender { hasHeard = true } }

  // MARK: Answers

  /// Sends the requests, and reads the answers up to a sync or a simple query.
  /// - Returns: The result of `wanted`.
  /// - Throws: The server's error if a request since the last exchange failed.
  private func exchange(
    until last: PostgresPipeline.Ticket, wanted: PostgresPipeline.Ticket?, _ deadline: Instant,
    observe: (PostgresPipeline.Event) -> Void = { _ in }
  ) async throws -> PostgresResult {
    try await connection.write(pipeline.takeOutput(), deadline: deadline)
    var result = PostgresResult()
    var failure: PostgresFields?
    while true {
      while let event = try pipeline.next() {
        observe(event)
        switch event {
        case .finished(let ticket, let found):
          if ticket == wanted { result = found }
          // A simple query ends by itself.
          if ticket == last { return result }
        case .failed(_, let fields): failure = failure ?? fields
        case .ready(last, _):
          if let failure { throw failure }
          return result
        case .ending(let fields):
          isBroken = true
          throw fields
        case .notice(let fields):
          environment.log.debug("postgres-notice", ["message": .string(fields.message)])
        case .notification(_, let sender): note(sender)
        case .prepared, .skipped, .ready, .setting: continue
        }
      }
      let bytes = try await connection.read(atMost: 131_072, deadline: deadline)
      if bytes.isEmpty { throw NetworkError.closed }
      pipeline.receive(bytes)
    }
  }

  /// Ends the connection after an error, unless a statement was refused in order.
  private func end(_ error: any Error) -> PostgresFailure {
    if let fields = error as? PostgresFields, !isBroken {
      let isGone = fields.code == .invalidStatementName || fields.code == .featureNotSupported
      guard fields.endsConnection || isGone else { return .server(fields) }
    }
    isBroken = true
    connection.reset()
    // The server would go on with a statement that nobody waits for, and keep its locks.
    if error is CancellationError || error as? NetworkError == .timedOut { cancel() }
    return PostgresFailure(error)
  }

  /// Asks the server to stop what this connection runs.
  private func cancel() {
    let deadline = environment.clock.now + Self.slack
    let opening = PostgresOpening(environment: environment, options: options, address: address, deadline: deadline)
    environment.executor.spawn("postgres-cancel") { [environment, server, isSecure = connection.isSecure] in
      do { try await opening.cancel(server, encrypted: isSecure) } catch {
        environment.log.debug("postgres-cancel-failed", ["error": .string("\(error)")])
      }
    }
  }
}
