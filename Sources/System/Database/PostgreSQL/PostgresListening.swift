import Environment

/// Wake-ups by other nodes that share the tables.
extension PostgresDatabase {
  /// The time of silence after which the connection is tried. It may have ended unnoticed.
  private static let silence: Duration = .seconds(2)

  /// Calls `wake` after transactions of other nodes, and whenever a connection begins to listen,
  /// since notifications may have been lost before. Returns when the database is closed, or at once
  /// if nobody else uses it.
  func listen(_ wake: @escaping @Sendable () async -> Void) async {
    guard isShared else { return }
    var delays = Backoff()
    while !isClosed {
      do {
        let connection = try await pool.take()
        listener = connection
        do throws(PostgresFailure) { try await listen(on: connection, wake, &delays) } catch {
          environment.log.info("wake-ups-lost", ["error": .string(error.error.reason)])
        }
        listener = nil
        // It goes on listening, so no transaction may use it.
        connection.close()
        await pool.give(connection)
        try await environment.clock.sleep(for: delays.next(environment.entropy))
      } catch let error as DatabaseError {
        if case .closed = error { return }
        guard (try? await environment.clock.sleep(for: delays.next(environment.entropy))) != nil else { return }
      } catch {
        return
      }
    }
  }

  private func listen(
    on connection: PostgresConnection, _ wake: @Sendable () async -> Void, _ delays: inout Backoff
  ) async throws(PostgresFailure) {
    try await connection.listen()
    delays.reset()
    await wake()
    while !isClosed {
      if try await connection.isWoken(before: environment.clock.now + Self.silence) {
        await wake()
      } else {
        try await connection.run(script: "SELECT 1", begins: false)
      }
    }
  }
}
