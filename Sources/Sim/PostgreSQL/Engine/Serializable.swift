import System

/// SERIALIZABLE: an exact form of serializable snapshot isolation (Cahill, Röhm and Fekete,
/// "Serializable isolation for snapshot databases", SIGMOD 2008).
///
/// PostgreSQL tracks reads by rows, pages and index ranges, and so refuses more transactions than
/// it has to. Here a transaction depends on what another one overwrote exactly if an answer to one
/// of its queries would be another one with the other's changes. PostgreSQL refuses each
/// transaction that is refused here, or one that it conflicts with.
extension DatabaseEngine {
  /// Notes a query of a serializable transaction.
  func note(
    read sql: String, _ answer: [[StoredValue]], of transaction: OpenTransaction, _ values: StatementDatabase.Parameters
  ) {
    guard transaction.isolation == .serializable else { return }
    var parameters: [Int: StoredValue] = [:]
    for number in Self.parameterNumbers(sql) { parameters[number] = values(number) }
    transaction.reads.append(
      SerializableRead(sql: sql, parameters: parameters, changes: transaction.changes.count, answer: answer))
  }

  private static func parameterNumbers(_ sql: String) -> [Int] {
    sql.split(separator: "$", omittingEmptySubsequences: false).dropFirst().compactMap {
      Int($0.prefix { $0.isWholeNumber })
    }
  }

  /// Decides whether a serializable transaction may commit: it may not be between two others, one
  /// that depends on what it overwrote, and one that has committed and overwrote what it has read.
  func serializationFailure(_ transaction: OpenTransaction) -> ServerError? {
    guard let snapshot = transaction.snapshot else { return nil }
    for commit in serializableCommits where commit.number > snapshot {
      if (try? depends(transaction, on: commit.changes)) == true {
        transaction.hasOutConflict = true
        if commit.hasOutConflict { return Self.failure }
      }
    }
    for session in sessions {
      guard let other = session.transaction, other !== transaction, other.isolation == .serializable,
        other.snapshot != nil, !other.hasFailed
      else { continue }
      if (try? depends(other, on: transaction.changes)) == true { transaction.hasInConflict = true }
    }
    for commit in serializableCommits where commit.number > snapshot {
      if (try? commit.reader.map { try depends($0, on: transaction.changes) }) == true {
        transaction.hasInConflict = true
      }
    }
    return transaction.hasInConflict && transaction.hasOutConflict ? Self.failure : nil
  }

  private static var failure: ServerError {
    ServerError("40001", "could not serialize access due to read/write dependencies among transactions")
  }

  /// Whether a query of `reader` has another answer with `changes`.
  private func depends(_ reader: OpenTransaction, on changes: [RowChange]) throws -> Bool {
    guard !changes.isEmpty, let snapshot = reader.snapshot else { return false }
    for read in reader.reads {
      let before = OpenTransaction(
        id: -1, session: reader.session, isolation: .serializable, isReadOnly: true, start: 0, isExplicit: false)
      before.changes = Array(reader.changes.prefix(read.changes))
      let own = Set(before.changes.map(\.key))
      // A change of a row that the reader has changed itself is a conflict of writes.
      before.changes += changes.filter { !own.contains($0.key) }
      try store.leave()
      defer { try? store.leave() }
      let answer = try store.read(read.sql, in: before, at: snapshot) { read.parameters[$0] ?? .null }
      if answer != read.answer { return true }
    }
    return false
  }

  /// Keeps what later decisions need of a commit, while a transaction that ran beside it is open.
  func noteCommit(of transaction: OpenTransaction, _ others: [OpenTransaction]) {
    let oldest = others.filter { $0.isolation == .serializable }.compactMap(\.snapshot).min()
    guard let oldest else {
      serializableCommits = []
      return
    }
    serializableCommits.removeAll { $0.number <= oldest }
    guard transaction.isolation == .serializable else { return }
    let reader = OpenTransaction(
      id: transaction.id, session: transaction.session, isolation: .serializable, isReadOnly: true, start: 0,
      isExplicit: true)
    reader.snapshot = transaction.snapshot
    reader.reads = transaction.reads
    reader.changes = transaction.changes
    serializableCommits.append(
      SerializableCommit(
        number: store.lastCommit, changes: transaction.changes, reader: reader,
        hasOutConflict: transaction.hasOutConflict))
  }
}

/// A committed serializable transaction that ran beside one that is open.
struct SerializableCommit {
  var number: Int
  var changes: [RowChange]
  /// Its reads.
  var reader: OpenTransaction?
  var hasOutConflict: Bool
}
