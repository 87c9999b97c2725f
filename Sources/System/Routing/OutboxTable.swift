/// A row of the outbox: a message to publish, or a queue to declare or delete.
struct OutboxRow: Sendable {
  enum Kind: String, Sendable {
    case publish, declare, remove
  }

  let position: Int64
  let kind: Kind
  let exchange: String
  /// The routing key of the message, or the name of the queue.
  let routingKey: String
  let properties: [UInt8]
  let body: [UInt8]
}

/// The transactional outbox: what commits leave to publish.
struct OutboxTable {
  private let connection: SQLSession

  init(_ connection: SQLSession) { self.connection = connection }

  func add(_ row: OutboxRow) async throws(DatabaseError) {
    try await connection.write(
      """
      INSERT INTO outbox (position, kind, exchange, routing_key, properties, body) VALUES ($1, $2, $3, $4, $5, $6)
      """, .int(row.position), .text(row.kind.rawValue), .text(row.exchange), .text(row.routingKey),
      .blob(row.properties), .blob(row.body))
  }

  /// Deletes the rows up to a position.
  func delete(through position: Int64) async throws(DatabaseError) {
    try await connection.write("DELETE FROM outbox WHERE position <= $1", .int(position))
  }

  /// The rows after a position, in order. Rows of an unknown kind are skipped.
  func rows(after position: Int64) async throws(DatabaseError) -> [OutboxRow] {
    try await connection.query(
      """
      SELECT position, kind, exchange, routing_key, properties, body FROM outbox WHERE position > $1 ORDER BY position
      """, .int(position)
    ) { row -> OutboxRow? in
      guard let kind = OutboxRow.Kind(rawValue: row.text(1)) else { return nil }
      return OutboxRow(
        position: row.int(0), kind: kind, exchange: row.text(2), routingKey: row.text(3), properties: row.bytes(4),
        body: row.bytes(5))
    }.compactMap { $0 }
  }
}
