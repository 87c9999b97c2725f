import Environment

/// `publications`: the outbox. An event is stored in the transaction that causes it, so that a
/// publication that is lost on its way can be read again. Messages are their own outbox.
struct PublicationsTable {
  /// Positions whose publications are kept in any case. `FanOut` is never this far behind.
  static let kept: Int64 = 10_000
  /// Positions whose publications one transaction removes.
  private static let page: Int64 = 2000

  private let connection: SQLSession

  init(_ connection: SQLSession) { self.connection = connection }

  /// The position of the last publication or message; a transaction that publishes takes the next.
  func lastPosition() async throws(DatabaseError) -> Position {
    try await connection.first(
      """
      SELECT coalesce(max(last), 0) FROM (
        SELECT max(message_id) AS last FROM messages WHERE message_id > 0 AND message_id < $1
        UNION ALL SELECT max(position) FROM publications WHERE position > 0 AND position < $1
        UNION ALL SELECT max(last_message) FROM removed_messages WHERE last_message < $1) AS numbered
      """, .int(ClientBounds.counter)
    ) { Position($0.int(0)) }!
  }

  /// Stores publications under the next position. There must be at least one: an empty list would
  /// leave the position to the next transaction.
  func publish(_ publications: [Publication]) async throws(DatabaseError) -> PublishedAt {
    require(!publications.isEmpty, "nothing to publish")
    let position = try await lastPosition().next
    connection.wakeOthers()
    for (part, publication) in publications.enumerated() {
      try await connection.execute(
        "INSERT INTO publications (position, part, event, payload, rooms) VALUES ($1, $2, $3, $4, $5)",
        .int(position.value), .int(Int64(part)), .text(publication.event), .text(publication.payload.text),
        .text(publication.recipients.map { "\($0.value)" }.joined(separator: " ")))
    }
    return PublishedAt(position: position, publications: publications)
  }

  /// Removes the oldest publications up to `position`. Returns whether all are removed.
  func removeSome(through position: Position) async throws(DatabaseError) -> Bool {
    let oldest = try await connection.first("SELECT min(position) FROM publications WHERE position > 0") {
      $0.isNull(0) ? Int64.max : $0.int(0)
    }
    guard let oldest, oldest <= position.value else { return true }
    let end = min(position.value, oldest + Self.page)
    try await connection.execute("DELETE FROM publications WHERE position <= $1", .int(end))
    return end == position.value
  }

  /// The publications at the positions in `(position, last]`, in order.
  func stored(after position: Position, through last: Position) async throws(DatabaseError) -> [PublishedAt] {
    let rows = try await connection.query(
      """
      SELECT position, event, payload, rooms FROM publications WHERE position > $1 AND position <= $2
      ORDER BY position, part
      """, .int(position.value), .int(last.value)
    ) { row in
      let recipients = row.text(3).split(separator: " ").compactMap { Int64($0).map(UserNumber.init) }
      return (
        position: Position(row.int(0)), publication: Publication(row.text(1), row.json(2), to: recipients)
      )
    }
    var result: [PublishedAt] = []
    for row in rows {
      if result.last?.position == row.position {
        result[result.count - 1].publications.append(row.publication)
      } else {
        result.append(PublishedAt(position: row.position, publications: [row.publication]))
      }
    }
    return result
  }
}
