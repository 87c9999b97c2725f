import Environment

/// An event that goes to all sockets of some users because of something that was committed.
struct Publication: Sendable {
  let event: String
  let payload: JSONValue
  let recipients: [UserNumber]

  init(_ event: String, _ payload: JSONValue, to recipients: [UserNumber]) {
    self.event = event
    self.payload = payload
    self.recipients = recipients
  }

  var roomEvent: RoomEvent { RoomEvent(event, payload, rooms: recipients.map(ChatPayload.room)) }
}

/// What a transaction has to tell, and its place in the one order of everything that is ever told.
struct PublishedAt: Sendable {
  let position: Int64
  let publications: [Publication]
}

/// The outbox: what is told is stored in the transaction that it is about, so that whoever missed it can read it. Messages are
/// their own outbox.
extension SQLConnection {
  /// Publications that are kept; nobody is so far behind.
  private static let keptPublications: Int64 = 10_000

  /// The last place in the one order of everything that was ever published; what a transaction publishes gets the next. A
  /// message has it as its id.
  func lastPosition() throws(DatabaseError) -> Int64 {
    try first(
      """
      SELECT max(
        0, ifnull((SELECT max(message_id) FROM messages WHERE message_id < $1), 0),
        ifnull((SELECT max(position) FROM publications WHERE position < $1), 0))
      """, .int(ClientBounds.counter)
    ) { $0.int(0) }!
  }

  /// Stores what is to be told: one thing at least, or its place would be the next one's too.
  func publish(_ publications: [Publication]) throws(DatabaseError) -> PublishedAt {
    require(!publications.isEmpty, "nothing was published")
    let position = try lastPosition() + 1
    for (part, publication) in publications.enumerated() {
      try execute(
        "INSERT INTO publications (position, part, event, payload, rooms) VALUES ($1, $2, $3, $4, $5)", .int(position),
        .int(Int64(part)), .text(publication.event), .text(publication.payload.text),
        .text(publication.recipients.map { "\($0.value)" }.joined(separator: " ")))
    }
    try execute("DELETE FROM publications WHERE position <= $1", .int(position - Self.keptPublications))
    return PublishedAt(position: position, publications: publications)
  }

  /// What was published at these places, messages aside, in order.
  func publications(after position: Int64, through last: Int64) throws(DatabaseError) -> [PublishedAt] {
    let rows = try query(
      """
      SELECT position, event, payload, rooms FROM publications WHERE position > $1 AND position <= $2
      ORDER BY position, part
      """, .int(position), .int(last)
    ) { row in
      let payload = row.json(2)
      let recipients = row.text(3).split(separator: " ").compactMap { Int64($0).map(UserNumber.init) }
      return (position: row.int(0), publication: Publication(row.text(1), payload, to: recipients))
    }
    var result: [PublishedAt] = []
    for row in rows {
      if let last = result.last, last.position == row.position {
        result[result.count - 1] = PublishedAt(
          position: row.position, publications: last.publications + [row.publication])
      } else {
        result.append(PublishedAt(position: row.position, publications: [row.publication]))
      }
    }
    return result
  }
}
