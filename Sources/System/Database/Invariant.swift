/// A promise that the rows of a database keep after each commit, and the query that finds the rows
/// that break it.
struct Invariant: Sendable {
  /// The promise in one sentence.
  let promise: String
  /// Whether the rows are what another service has told. The promise holds as long as that service
  /// keeps its own.
  let isAboutOthers: Bool
  private let find: @Sendable (SQLSession) async throws -> [String]

  /// The maximum number of rows that are reported for a promise.
  static let maximumReported = 5

  /// An invariant in SQL: a query for one text in each row that breaks the promise.
  init(_ promise: String, _ sql: String, isAboutOthers: Bool = false) {
    self.promise = promise
    self.isAboutOthers = isAboutOthers
    let query = "SELECT * FROM (\(sql)) AS broken LIMIT \(Self.maximumReported)"
    find = { session in try await session.query(SQLText(query)) { $0.text(0) } }
  }

  /// An invariant in Swift: the rows that break the promise.
  init(_ promise: String, find: @escaping @Sendable (SQLSession) async throws -> [String]) {
    self.promise = promise
    isAboutOthers = false
    self.find = find
  }

  /// The rows that break the promise, each with the promise. Empty if it holds.
  func breaches(in session: SQLSession) async throws -> [String] {
    try await find(session).map { "\(promise): \($0.shortened(toBytes: 200))" }
  }

  /// The same in a file that nobody else uses.
  func breaches(in connection: SQLConnection) throws(DatabaseError) -> [String] {
    do {
      let invariant = self
      return try connection.perform { try await invariant.breaches(in: $0) }
    } catch let error as DatabaseError {
      throw error
    } catch {
      return ["\(promise): \(error)"]
    }
  }
}

extension Invariant {
  /// The invariant that each value of a column is in a column of another table.
  static func reference(_ table: String, _ column: String, _ other: String, _ otherColumn: String) -> Invariant {
    Invariant(
      "\(table).\(column) is in \(other)",
      "SELECT \(column) FROM \(table) WHERE \(column) NOT IN (SELECT \(otherColumn) FROM \(other))")
  }
}
