/// The Socket.IO events of the Chat Service.
enum ChatEventTable {
  /// All events. `ChatApplication` checks the events of clients against their rows.
  static let table = MessageTable(.socketIO, fromClients + toClients, notes: ["/": recovery])

  private static let recovery =
    "With \"recover\": true in the auth payload of CONNECT, the connection state recovery of Socket.IO 4.6: the answer"
    + " has a pid, and each stored event a last argument, its offset. A client that shows both in the auth payload"
    + " within 2 minutes, at any node, gets the same pid, what it missed, in order, and then the other events. Any"
    + " other client gets a new pid."

  private static let sessionID = Schema.Field(
    "sessionID", .string(.init(maximumBytes: 255)), "a session of the socket's user")
  private static let recipient = Schema.Field(
    "recipient_id", .integer(minimum: 1), "the user_id, or with is_group the group_id")
  private static let isGroup = Schema.Field("is_group", .boolean, isRequired: false, "false without it")
  private static let clientID = Schema.Field(
    "client_id", .string(.init(minimumLength: 1, maximumBytes: ChatRules.maximumClientID)), isRequired: false,
    "the same id from the same sender gives the first answer again")

  private static func acknowledgement(_ fields: [Schema.Field]) -> Schema {
    .object(
      [.init("status", .string(.init(values: ["ok", "error"])))] + fields + [
        .init("message", .string(), isRequired: false, "the error")
      ])
  }

  private static let fromClients: [MessageRow] = [
    MessageRow(
      .receive, "/", "send_message", "Send a message",
      .object([
        sessionID, recipient, .init("content", .string(.init(maximumBytes: ChatRules.maximumContent))), isGroup,
        .init(
          "type", .string(.init(values: MessageKind.allCases.map(\.rawValue))), isRequired: false, "text without it"),
        clientID,
      ]),
      answer: acknowledgement([
        .init("message_id", .integer(minimum: 1), isRequired: false),
        .init("seq", .integer(minimum: 1), isRequired: false),
        .init("timestamp", .string(.init(format: "date-time")), isRequired: false),
      ]), key: clientID.name),
    MessageRow(
      .receive, "/", "add_contact", "Ask a user to be a contact, or accept a request",
      .object([sessionID, .init("contact_username", ChatRules.username)]),
      answer: acknowledgement([.init("contact", ChatRoutes.contact, isRequired: false)])),
    MessageRow(
      .receive, "/", "typing", "Tell the other participants that the user is typing", .object([recipient, isGroup])),
    MessageRow(
      .receive, UserServer.namespace, "user_message", "Say something in the session that the user serves",
      .object([.init("MESSAGE", .any, "any value of at most \(ChatRules.maximumContent) bytes of JSON"), clientID]),
      answer: acknowledgement([.init("message_id", .string(), isRequired: false)]), key: clientID.name),
  ]

  // MARK: Events to clients

  static let newMessage = MessageRow(
    .send, "/", "new_message", "A message, to every socket of every participant, the sender's too", ChatRoutes.message)
  static let userStatus = MessageRow(
    .send, "/", "user_status", "A friend's first socket has opened, or the last one has closed",
    .object([user, username, .init("status", .string(.init(values: ["online", "offline"])))]))
  static let contactAdded = MessageRow(
    .send, "/", "contact_added", "The user has asked, or has accepted a request", ChatRoutes.contact)
  static let contactRequest = MessageRow(
    .send, "/", "contact_request", "Another user asks to be a contact", .object([user, username]))
  static let contactChanged = MessageRow(
    .send, "/", "contact_changed", "A contact has changed, or its account was deleted",
    ChatRoutes.contact(statuses: ContactStatus.allCases.map(\.rawValue) + [ChatPayload.deleted]))
  static let groupChanged = MessageRow(
    .send, "/", "group_changed", "A group has changed, or the user has left it", ChatRoutes.group)
  static let typing = MessageRow(
    .send, "/", "typing", "Another participant is typing",
    .object([
      .init("sender_id", .integer(minimum: 1)), .init("sender_username", .string()), recipient,
      .init("is_group", .boolean),
    ]))
  static let sessionMessage = MessageRow(
    .send, UserServer.namespace, "session_message",
    "A message of the session that the user serves: MESSAGE_FOR_USER, or {\"MESSAGE\": it} when it is no object",
    .object([]))

  /// The namespace of an event that is published. An `error` is not: it goes to one socket.
  static func namespace(ofPublished event: String) -> String {
    event == sessionMessage.name ? sessionMessage.channel : "/"
  }

  private static let user = Schema.Field("user_id", .integer(minimum: 1))
  private static let username = Schema.Field("username", .string())
  private static let toClients: [MessageRow] =
    [newMessage, userStatus, contactAdded, contactRequest, contactChanged, groupChanged, typing, sessionMessage]
    + ["/", UserServer.namespace].map { namespace in
      MessageRow(
        .send, namespace, "error", "The error of an event that asked for no acknowledgement",
        .object([.init("message", .string())]))
    }
}

extension RoomEvent {
  /// An event of a row of the table.
  init(_ row: MessageRow, _ payload: JSONValue, rooms: [String]) {
    assert(row.data.fault(in: payload) == nil, "\(row.name): \(payload.text)")
    self.init(row.name, payload, rooms: rooms, namespace: row.channel)
  }
}

extension Publication {
  /// A publication of an event of a row of the table.
  init(_ row: MessageRow, _ payload: JSONValue, to recipients: [UserNumber]) {
    assert(row.data.fault(in: payload) == nil, "\(row.name): \(payload.text)")
    self.init(row.name, payload, to: recipients)
  }
}
