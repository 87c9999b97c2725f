import Environment

/// A waiting transaction. Its body keeps its result.
final class Transaction: @unchecked Sendable {
  private let body: @Sendable (SQLSession) async throws -> Void
  private var continuation: UnsafeContinuation<Void, any Error>?
  private var isRun = false
  /// The error of the body's last run.
  private var error: (any Error)?

  init(
    _ continuation: UnsafeContinuation<Void, any Error>, _ body: @escaping @Sendable (SQLSession) async throws -> Void
  ) {
    self.continuation = continuation
    self.body = body
  }

  /// Runs the body, if asked in a savepoint of its own. An error of the body is kept for `finish`.
  /// - Throws: `DatabaseError` if the database failed.
  func run(on connection: SQLConnection, inSavepoint: Bool) async throws(DatabaseError) {
    if inSavepoint { try connection.execute("SAVEPOINT one") }
    error = nil
    do {
      try await body(SQLSession(connection))
      if inSavepoint { try connection.execute("RELEASE one") }
    } catch {
      if let failure = error as? DatabaseError, failure.isUnavailable { throw failure }
      // Some errors roll back the whole SQLite transaction, with the changes of the others.
      if connection.isOutsideTransaction { throw .failed("the transaction was rolled back") }
      self.error = error
      if inSavepoint {
        try connection.execute("ROLLBACK TO one")
        try connection.execute("RELEASE one")
      }
    }
    isRun = true
  }

  var hasThrown: Bool { error != nil }

  /// Resumes the caller, with the error of the body if it threw.
  func finish() {
    guard isRun else { return fail(DatabaseError.failed("the transaction was not run")) }
    if let error { return fail(error) }
    continuation?.resume()
    continuation = nil
  }

  /// Resumes the caller with an error. Only the first of `finish` and `fail` has an effect.
  func fail(_ error: any Error) {
    continuation?.resume(throwing: error)
    continuation = nil
  }
}

/// One SQLite transaction around a batch of transactions, to run in the disk lane.
struct GroupCommit: Sendable {
  enum Outcome: Sendable {
    /// Nothing was written.
    case read
    /// The number of transactions that became durable together, and the error of the checkpoint
    /// that followed.
    case committed(Int, afterwards: DatabaseError?)
    case failed(DatabaseError)
  }

  let file: DatabaseFile
  let transactions: [Transaction]
  let options: DatabaseOptions
  let executor: any NodeExecutor

  func run() -> Outcome {
    let result = Returned()
    // One task for the batch. Nothing in it suspends
    // (docs/decisions/0031-asynchronous-transactions.md).
    executor.runInPlace { result.outcome = await commit() }
    return result.outcome!
  }

  private final class Returned: @unchecked Sendable {
    var outcome: Outcome?
  }

  private func commit() async -> Outcome {
    do throws(DatabaseError) {
      let connection = try await file.connected()
      let before = connection.totalChanges
      try connection.execute("BEGIN")
      if try await !runPlainly(connection) {
        try connection.execute("ROLLBACK")
        try connection.execute("BEGIN")
        for transaction in transactions { try await transaction.run(on: connection, inSavepoint: true) }
      }
      if options.planted(.answersEarly) { for transaction in transactions { transaction.finish() } }
      try connection.execute("COMMIT")
      guard connection.totalChanges > before else { return .read }
    } catch {
      file.disconnect()
      return .failed(error)
    }
    do throws(DatabaseError) {
      try file.checkpointWhenLong()
      return .committed(transactions.count, afterwards: nil)
    } catch {
      file.disconnect()
      return .committed(transactions.count, afterwards: error)
    }
  }

  /// Runs all transactions without savepoints, since most that throw have not written.
  /// - Returns: False if one threw after it had written. All are then undone and run again with
  ///   savepoints.
  private func runPlainly(_ connection: SQLConnection) async throws(DatabaseError) -> Bool {
    for transaction in transactions {
      let before = connection.totalChanges
      try await transaction.run(on: connection, inSavepoint: false)
      if transaction.hasThrown, connection.totalChanges > before { return false }
    }
    return true
  }
}
