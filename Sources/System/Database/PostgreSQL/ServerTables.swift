import Environment

extension ServiceDatabase {
  /// Returns whether the service has made its tables on servers. Makes none.
  /// - Throws: `DatabaseError`.
  public func isMade(_ environment: Environment, on servers: PostgresOptions) async throws -> Bool {
    try await visit(environment, servers) { version, _ in version != nil }
  }

  /// Runs `body`, which only reads, on the tables of the service on servers, as of one moment.
  /// Returns nil if the service has made none.
  /// - Throws: `DatabaseError`, also for tables of another release; the error of `body`.
  public func read<R: Sendable>(
    _ environment: Environment, on servers: PostgresOptions, _ body: @Sendable (SQLSession) async throws -> R
  ) async throws -> R? {
    try await visit(environment, servers) { version, session in
      guard let version else { return nil }
      try checkRelease(version)
      return try await body(session)
    }
  }

  /// Runs `body` in a transaction on the servers. It gets the version of the tables, nil if the
  /// service has made none.
  private func visit<R: Sendable>(
    _ environment: Environment, _ servers: PostgresOptions, _ body: (Int?, SQLSession) async throws -> R
  ) async throws -> R {
    let pool = PostgresPool(environment, servers, on: environment.executor.forActor("postgres"))
    let connection: PostgresConnection
    do { connection = try await pool.take() } catch {
      await pool.close()
      throw error
    }
    let service = Self.service(of: path)
    var result: R?
    let outcome = await PostgresTransaction(connection, isMarked: false).run(environment.log) { session in
      try await session.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
      let versions = SQLText(postgreSQL: "SELECT to_regclass('schema_versions')::text")
      var version: Int?
      if try await session.first(versions, row: { !$0.isNull(0) }) == true {
        version = try await session.first("SELECT version FROM schema_versions WHERE service = $1", .text(service)) {
          Int($0.int(0))
        }
      }
      result = try await body(version, session)
    }
    await pool.give(connection)
    await pool.close()
    switch outcome {
    case .committed: return result!
    case .thrown(let error): throw error
    case .failed(let failure), .unknown(let failure, _): throw failure.error
    }
  }
}
