/// What is sent before a statement of a transaction, or before COMMIT, together with it.
struct PostgresRequests {
  /// The most statements that wait for another one, and the bytes of their values, with which they
  /// are sent by themselves. The client does not read while it writes, so the answers to them have
  /// to fit into the buffers of the connection.
  private static let (mostStatements, mostBytes) = (200, 262_144)

  /// Whether BEGIN comes first.
  var begins = false
  /// The mark of a transaction that writes for the first time.
  var mark: CommitMark?
  private(set) var statements: [(sql: String, values: [PostgresValue])] = []
  private var bytes = 0

  /// Whether no statements wait.
  var isEmpty: Bool { statements.isEmpty }
  /// Whether the statements have to be sent.
  var isFull: Bool { statements.count >= Self.mostStatements || bytes >= Self.mostBytes }

  /// Adds a statement.
  mutating func append(_ sql: String, _ values: [PostgresValue]) {
    statements.append((sql, values))
    for value in values {
      switch value {
      case .text(let text): bytes += text.utf8.count
      case .bytes(let data), .uuid(let data): bytes += data.count
      case .null, .bool, .int, .time, .endOfTime: bytes += 8
      }
    }
  }
}
