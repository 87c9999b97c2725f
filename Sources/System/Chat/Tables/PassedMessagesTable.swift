/// `passed_messages`: the messages of the User Manager that have been passed on to users, where
/// several nodes share the tables. The User Manager publishes a message again when it did not hear
/// the broker's confirmation, and the broker delivers again what another node had not acknowledged.
struct PassedMessagesTable {
  /// Positions after which a message is forgotten. A repeated message follows soon after the first.
  static let kept: Int64 = 100_000

  private let connection: SQLSession

  init(_ connection: SQLSession) { self.connection = connection }

  /// Whether a message was passed on.
  func contains(_ id: String) async throws(DatabaseError) -> Bool {
    try await connection.first("SELECT 1 FROM passed_messages WHERE message_id = $1", .text(id)) { _ in true } ?? false
  }

  /// Stores that a message was passed on at a position.
  func insert(_ id: String, at position: Position) async throws(DatabaseError) {
    try await connection.execute(
      "INSERT INTO passed_messages (message_id, position) VALUES ($1, $2)", .text(id), .int(position.value))
    try await connection.execute(
      "DELETE FROM passed_messages WHERE position <= $1", .int(position.advanced(by: -Self.kept).value))
  }
}
