import Environment

extension ServiceDatabase {
  /// Returns whether the service has made its tables on servers. Makes none.
  /// - Throws: `DatabaseError`.
  public func isMade(_ environment: Environment, on servers: PostgresOptions) async throws -> Bool {
    let pool = PostgresPool(environment, servers, on: environment.executor.forActor("postgres"))
    let connection: PostgresConnection
    do { connection = try await pool.take() } catch {
      await pool.close()
      throw error
    }
    let service = String(path.prefix { $0 != "." })
    var isMade = false
    let outcome = await PostgresTransaction(connection, isMarked: false).run(environment.log) { session in
      let versions = SQLText(postgreSQL: "SELECT to_regclass('schema_versions')::text")
      guard try await session.first(versions, row: { !$0.isNull(0) }) == true else { return }
      isMade =
        try await session.first("SELECT 1 FROM schema_versions WHERE service = $1", .text(service)) { _ in true }
        ?? false
    }
    await pool.give(connection)
    await pool.close()
    switch outcome {
    case .committed: return isMade
    case .thrown(let error): throw error
    case .failed(let failure), .unknown(let failure, _): throw failure.error
    }
  }
}
