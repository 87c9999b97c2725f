import Environment

/// A transaction that waits for its turn.
final class PostgresTurn: @unchecked Sendable {
  let body: @Sendable (SQLSession) async throws -> Void
  let continuation: UnsafeContinuation<Void, any Error>
  /// The error of the body, which left nothing behind.
  var error: (any Error)?

  init(
    _ body: @escaping @Sendable (SQLSession) async throws -> Void, _ continuation: UnsafeContinuation<Void, any Error>
  ) {
    self.body = body
    self.continuation = continuation
  }

  func finish(_ error: (any Error)?) {
    if let error { continuation.resume(throwing: error) } else { continuation.resume() }
  }
}

/// Transactions of a service whose tables have one owner. They run one at a time, as over SQLite,
/// and those that wait meanwhile are committed together.
extension PostgresDatabase {
  /// Runs a transaction after those that came before it.
  func takeTurn(_ body: @escaping @Sendable (SQLSession) async throws -> Void) async throws {
    guard turns.count < PostgresPool.maximumWaiting else { throw DatabaseError.overloaded }
    try await withUnsafeThrowingContinuation { continuation in
      turns.append(PostgresTurn(body, continuation))
      guard !isTakingTurns else { return }
      isTakingTurns = true
      environment.executor.spawn("postgres-turns") { await self.takeTurns() }
    }
  }

  private func takeTurns() async {
    // A failure of one makes all run again.
    let together = environment.limits[.postgresBatch]
    while !turns.isEmpty {
      var batch: [PostgresTurn] = []
      while batch.count < together, let turn = turns.popFirst() { batch.append(turn) }
      await run(batch)
    }
    isTakingTurns = false
  }

  private func run(_ batch: [PostgresTurn]) async {
    let (service, owner) = (service, owner!)
    do {
      try await transaction(of: batch.count) { session in
        try await ServiceOwners(session).require(service, owner)
        for turn in batch {
          let before = session.effects
          do {
            try await turn.body(session)
            turn.error = nil
          } catch {
            // What it has changed can be undone only together with the others.
            guard batch.count > 1, session.effects == before else { throw error }
            turn.error = error
          }
        }
      }
      for turn in batch { turn.finish(turn.error) }
    } catch {
      let isOfOne = (error as? DatabaseError).map { !$0.isUnavailable } ?? !(error is NodeDown)
      guard batch.count > 1, isOfOne else {
        for turn in batch { turn.finish(error) }
        return
      }
      for turn in batch { await run([turn]) }
    }
  }
}

/// The table `service_owners`: the process that uses the tables of a service which may have only
/// one.
///
/// Each transaction locks the row of its service. So a process that claims the tables waits for a
/// transaction of the owner before it, whose later ones are refused.
struct ServiceOwners {
  private let session: SQLSession

  init(_ session: SQLSession) { self.session = session }

  static let schema = """
    CREATE TABLE IF NOT EXISTS service_owners (
      service VARCHAR(64) COLLATE "C" PRIMARY KEY, owner VARCHAR(32) COLLATE "C" NOT NULL
    )
    """

  /// Claims the tables from one owner.
  /// - Throws: `DatabaseError.locked` if another process has claimed them meanwhile.
  func claim(_ service: String, _ claim: DatabaseClaim) async throws(DatabaseError) {
    // An earlier attempt may have no answer.
    let known = try await session.first(
      "SELECT owner FROM service_owners WHERE service = $1 FOR UPDATE", .text(service)
    ) { $0.text(0) }
    if known == claim.life { return }
    guard known == claim.predecessor else { throw .locked("the database of \(service)") }
    let changed =
      try await known == nil
      ? session.execute(
        "INSERT INTO service_owners (service, owner) VALUES ($1, $2) ON CONFLICT DO NOTHING", .text(service),
        .text(claim.life))
      : session.execute("UPDATE service_owners SET owner = $2 WHERE service = $1", .text(service), .text(claim.life))
    guard changed == 1 else { throw .locked("the database of \(service)") }
  }

  /// Claims the tables from whoever owns them.
  func claim(_ service: String, _ owner: String) async throws(DatabaseError) {
    try await session.execute(
      """
      INSERT INTO service_owners (service, owner) VALUES ($1, $2)
      ON CONFLICT (service) DO UPDATE SET owner = EXCLUDED.owner
      """, .text(service), .text(owner))
  }

  /// Locks the row of a service until the end of the transaction.
  /// - Throws: `DatabaseError.locked` if another process has claimed the tables.
  func require(_ service: String, _ owner: String) async throws(DatabaseError) {
    let isOwner = try await session.first(
      "SELECT 1 FROM service_owners WHERE service = $1 AND owner = $2 FOR UPDATE", .text(service), .text(owner)
    ) { _ in true }
    guard isOwner == true else { throw .locked("the database of \(service)") }
  }
}
