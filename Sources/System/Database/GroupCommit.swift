/// A transaction that waits for its turn. What it returns its body keeps.
final class Transaction: @unchecked Sendable {
  private let body: (SQLConnection) throws -> Void
  private var continuation: UnsafeContinuation<Void, any Error>?
  private var isRun = false
  /// What the body threw when it was last run.
  private var error: (any Error)?

  init(_ continuation: UnsafeContinuation<Void, any Error>, _ body: @escaping (SQLConnection) throws -> Void) {
    self.continuation = continuation
    self.body = body
  }

  /// Runs it, in a savepoint of its own where asked. Throws when the database failed; an error of the body's own is kept for `finish`.
  func run(on connection: SQLConnection, inSavepoint: Bool) throws(DatabaseError) {
    if inSavepoint { try connection.execute("SAVEPOINT one") }
    error = nil
    do {
      try body(connection)
      if inSavepoint { try connection.execute("RELEASE one") }
    } catch {
      if let failure = error as? DatabaseError, failure.isUnavailable { throw failure }
      // Some errors roll everything back by themselves: then the others' changes are gone too.
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

  /// Tells whoever waits that it is done, or what the body threw.
  func finish() {
    guard isRun else { return fail(DatabaseError.failed("the transaction was not run")) }
    if let error { return fail(error) }
    continuation?.resume()
    continuation = nil
  }

  /// Hands an error to whoever waits. Only the first of `finish` and `fail` counts.
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
  let transactions: [Transaction]
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
