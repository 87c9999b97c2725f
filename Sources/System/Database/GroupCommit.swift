/// A transaction that waits for its turn, whatever it returns.
protocol Transaction: AnyObject, Sendable {
  /// Runs it, in a savepoint of its own where asked. Throws when the database failed; an error of the body's own is kept for `finish`.
  func run(on connection: SQLConnection, inSavepoint: Bool) throws(DatabaseError)
  /// Whether the body threw when it was last run.
  var hasThrown: Bool { get }
  /// Hands the result to whoever waits.
  func finish()
  /// Hands an error to whoever waits, in place of the result. Only the first of `finish` and `fail` counts.
  func fail(_ error: any Error)
}

final class TypedTransaction<R: Sendable>: Transaction, @unchecked Sendable {
  private let body: @Sendable (SQLConnection) throws -> R
  private var result: Result<R, any Error>?
  var continuation: UnsafeContinuation<R, any Error>?

  init(_ body: @escaping @Sendable (SQLConnection) throws -> R) { self.body = body }

  func run(on connection: SQLConnection, inSavepoint: Bool) throws(DatabaseError) {
    if inSavepoint { try connection.execute("SAVEPOINT one") }
    do {
      result = .success(try body(connection))
      if inSavepoint { try connection.execute("RELEASE one") }
    } catch {
      if let failure = error as? DatabaseError, failure.isUnavailable { throw failure }
      // Some errors roll everything back by themselves: then the others' changes are gone too.
      if connection.isOutsideTransaction { throw .failed("the transaction was rolled back") }
      result = .failure(error)
      if inSavepoint {
        try connection.execute("ROLLBACK TO one")
        try connection.execute("RELEASE one")
      }
    }
  }

  var hasThrown: Bool { if case .failure? = result { true } else { false } }

  func finish() {
    guard let result else { return fail(DatabaseError.failed("the transaction was not run")) }
    continuation?.resume(with: result)
    continuation = nil
  }

  func fail(_ error: any Error) {
    continuation?.resume(throwing: error)
    continuation = nil
  }
}

/// One SQLite transaction around all that wait: what the disk lane runs.
struct GroupCommit: Sendable {
  enum Outcome: Sendable {
    /// Nothing was written.
    case read
    /// So many transactions were made durable together; copying the log afterwards may have failed.
    case committed(Int, afterwards: DatabaseError?)
    case failed(DatabaseError)
  }

  let file: DatabaseFile
  let transactions: [any Transaction]
  let options: DatabaseOptions

  func run() -> Outcome {
    do throws(DatabaseError) {
      let connection = try file.connected()
      let before = connection.totalChanges
      try connection.execute("BEGIN")
      if try !runPlainly(connection) {
        try connection.execute("ROLLBACK")
        try connection.execute("BEGIN")
        for transaction in transactions { try transaction.run(on: connection, inSavepoint: true) }
      }
      if !options.answersAfterCommit { for transaction in transactions { transaction.finish() } }
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

  /// Runs all of them without savepoints, which few need: most that throw have looked and not written. False when one
  /// threw after it had written; then everything is undone and run again, each in its savepoint.
  private func runPlainly(_ connection: SQLConnection) throws(DatabaseError) -> Bool {
    for transaction in transactions {
      let before = connection.totalChanges
      try transaction.run(on: connection, inSavepoint: false)
      if transaction.hasThrown, connection.totalChanges > before { return false }
    }
    return true
  }
}
