/// An event for all sockets of some users, caused by a committed change.
struct Publication: Sendable {
  let event: String
  let payload: JSONValue
  let recipients: [UserNumber]

  init(_ event: String, _ payload: JSONValue, to recipients: [UserNumber]) {
    self.event = event
    self.payload = payload
    self.recipients = recipients
  }

  var roomEvent: RoomEvent {
    var event = RoomEvent(
      event, payload, rooms: recipients.map(ChatPayload.room), namespace: ChatEventTable.namespace(ofPublished: event))
    // Sockets in `/` alone are recovered, and nobody is typing any more when it is received later.
    event.isKept = event.namespace == "/" && self.event != ChatEventTable.typing.name
    return event
  }
}

/// The publications of one transaction and their position in the order of all publications.
struct PublishedAt: Sendable {
  let position: Position
  var publications: [Publication]
}

extension [RoomEvent] {
  /// Appends the events of the transaction at `position`, each with its offset.
  mutating func append(_ events: [RoomEvent], at position: Position) {
    for (part, var event) in events.enumerated() {
      event.offset = EventOffset(position: position.value, part: Int64(part))
      append(event)
    }
  }
}
