/// The messages of the services' queues (contract section 4). A service checks the messages that it
/// consumes against these rows.
enum QueueMessages {
  /// The names of a session's queues in the documentation.
  private static let fromManager = "SSE_{id}_UM"
  private static let fromCustomer = "SSE_{id}_CA"

  /// The messages of the User Manager.
  static let manager = table(
    receiving: [userServer, customerServer, supervisors],
    sending: [hosts, toSupervisor, communication, customers])
  /// The messages of the Customer Server.
  static let customerAgent = table(receiving: [customers], sending: [customerServer, fromAgent])
  /// The messages of the User Server.
  static let userServerAgent = table(receiving: [communication], sending: [userServer])
  /// The messages of supervisor hosts and their supervisors.
  static let supervisor = table(receiving: [hosts, toSupervisor, fromAgent], sending: [supervisors])

  private struct Group {
    let exchange: String
    let queue: String
    var rows: [(name: String, summary: String, data: [Schema.Field], answer: Schema?)]
  }

  private static func table(receiving: [Group], sending: [Group]) -> MessageTable {
    func rows(_ groups: [Group], _ direction: MessageRow.Direction) -> [MessageRow] {
      groups.flatMap { group in
        group.rows.map {
          MessageRow(direction, group.queue, $0.name, $0.summary, .object($0.data), answer: $0.answer)
        }
      }
    }
    var exchanges: [String: String] = [:]
    for group in receiving + sending { exchanges[group.queue] = group.exchange }
    return MessageTable(
      .queues(exchanges: exchanges), rows(receiving, .receive) + rows(sending, .send))
  }

  /// The name of a session's queue in the documentation.
  static func kind(of queue: String) -> String { queue.hasSuffix("_CA") ? fromCustomer : fromManager }

  // MARK: Shapes

  static let userID = Schema.either(
    [.integer(minimum: .min, maximum: .max), .string(.init(maximumBytes: ClientBounds.identifier))],
    "an integer, or a string of at most 255 bytes")
  static let userCount = Schema.either(
    [.integer(minimum: 1, maximum: Int64(ClientBounds.users)), .string(.init(values: ["ALL"]))],
    "an integer from 1 to 1000000, or \"ALL\"")
  static let supervisorID = Schema.string(
    .init(minimumLength: 1, maximumLength: 64, pattern: "^[A-Za-z0-9_-]+$", example: "s1"))
  private static let identifier = Schema.string(.init(minimumLength: 1, maximumBytes: ClientBounds.identifier))
  private static let epoch = Schema.integer(minimum: 1, maximum: ClientBounds.counter)
  private static let sequence = Schema.integer(minimum: 1, maximum: ClientBounds.counter)
  private static let users = Schema.array(of: userID, maximum: 1_000_000)

  private static let user = Schema.Field("USER_ID", userID)
  private static let count = Schema.Field("USER_COUNT", userCount, isRequired: false, "1 without it")
  private static let supervisorField = Schema.Field("SESSION_SUPERVISOR_ID", supervisorID)
  private static let address = Schema.string(
    .init(minimumLength: 3, maximumBytes: ClientBounds.identifier, pattern: "@", example: "user@example.com"))
  static let email = Schema.Field("EMAIL", address)
  private static let messageID = Schema.Field("MESSAGE_ID", identifier, "the same id is the same message")
  private static let message = Schema.Field("MESSAGE", .any)
  private static let previous = Schema.Field(
    "PREVIOUS", identifier, isRequired: false, "the message of the same customer before this one")
  private static let host = Schema.Field(
    "HOST", .string(.init(maximumBytes: HostName.maximumBytes)), isRequired: false)
  private static let list = Schema.Field("LIST_USER_ID", users)

  private static func status(_ more: [Schema.Field] = []) -> Schema {
    .object(
      [
        .init("STATUS", .string(.init(values: ["SUCCESS", "FAILED"])), isRequired: false),
        .init("ERROR", .string(), isRequired: false, "why it failed"),
      ] + more)
  }
  private static let grant = status([
    .init("LIST_USER_ID", users, isRequired: false),
    .init("NOTICE", .string(.init(values: ["SUFFICIENT", "NOT_SUFFICIENT"])), isRequired: false),
  ])

  // MARK: Queues

  private static let userServer = Group(
    exchange: QueueNames.managerExchange, queue: QueueNames.fromUserServer,
    rows: [
      ("NEW_USER", "A user is there", [user, connection], nil),
      ("REMOVE_USER", "The last socket of that connection is gone", [user, connection], nil),
      ("USER_MESSAGE", "A user says something", [user, messageID, message], nil),
    ])
  private static let connection = Schema.Field(
    "CONNECTION", .integer(minimum: 0, maximum: ClientBounds.counter), isRequired: false,
    "grows with each connection of the user; without it, the one after the latest")

  private static let customerServer = Group(
    exchange: QueueNames.managerExchange, queue: QueueNames.fromCustomerServer,
    rows: [
      (
        "START_SESSION", "A customer's session is to begin",
        [email, .init("SESSION_DATA", .any, isRequired: false, "may hold USER_COUNT")], nil
      ),
      ("ADDITIONAL_USERS", "A customer wants more users", [supervisorField, count], grant),
      (
        "END_SESSION", "A session is to end, named by its supervisor or by the customer's EMAIL",
        [
          .init("SESSION_SUPERVISOR_ID", supervisorID, isRequired: false),
          .init("EMAIL", address, isRequired: false),
          .init("REQUEST", identifier, isRequired: false, "with EMAIL: the id of the START_SESSION that is given up"),
          .init(
            "ERASE", .boolean, isRequired: false,
            "with EMAIL: remove all sessions of the customer with their transcripts"),
        ], nil
      ),
    ])

  private static let supervisors = Group(
    exchange: QueueNames.managerExchange, queue: QueueNames.fromSupervisors,
    rows: [
      ("INITIALIZE_SESSION", "A supervisor asks for its session", [host], status()),
      ("NEW_SESSION", "A supervisor asks for users", [count], grant),
      ("ADDITIONAL_USERS", "A supervisor asks for more users", [count], grant),
      (
        "SEND_MESSAGE_TO_USER", "For a user whom the supervisor has", [user, .init("MESSAGE_FOR_USER", .any)], status()
      ),
      ("USER_RELEASED", "A supervisor gives users back", [list], status()),
      (
        "APPEND_TRANSCRIPT", "Gives a message its place in the transcript",
        [messageID, .init("FROM", userID, "a user, or CUSTOMER"), message, previous],
        status([.init("SEQ", sequence, isRequired: false)])
      ),
      (
        "HEARTBEAT", "A host lives, or with LEAVING gives its sessions up",
        [host, .init("LEAVING", .boolean, isRequired: false)], status()
      ),
    ])

  private static let hosts = Group(
    exchange: QueueNames.supervisorExchange, queue: QueueNames.hosts,
    rows: [
      (
        "START_SUPERVISOR", "Any host may run this session",
        [supervisorField, .init("EPOCH", epoch), .init("SESSION_DATA", .any, isRequired: false)], nil
      )
    ])

  private static let toSupervisor = Group(
    exchange: QueueNames.supervisorExchange, queue: fromManager,
    rows: [
      ("USER_MESSAGE", "A user of the session says something", [user, messageID, message], nil),
      (
        "USER_MANAGER_MESSAGE", "News of the session's users, or its end",
        [
          .init("TYPE", .string(.init(values: ["USER_DISCONNECT", "USERS_ASSIGNED", "END_SESSION"]))),
          .init("DATA", .any, isRequired: false, "of USERS_ASSIGNED LIST_USER_ID, of USER_DISCONNECT USER_ID"),
        ], nil
      ),
    ])

  private static let fromAgent = Group(
    exchange: QueueNames.supervisorExchange, queue: fromCustomer,
    rows: [("CUSTOMER_MESSAGE", "The customer says something", [messageID, message, previous], nil)])

  private static let communication = Group(
    exchange: QueueNames.communicationExchange, queue: QueueNames.toUserServer,
    rows: [("SEND_MESSAGE_TO_USER", "For a user's sockets", [user, .init("MESSAGE_FOR_USER", .any)], nil)])

  private static let customers = Group(
    exchange: QueueNames.customerExchange, queue: QueueNames.toCustomerServer,
    rows: [
      ("SESSION_RUNNING", "A supervisor has taken the session", [email], nil),
      (
        "SESSION_MESSAGE", "The next message of the transcript",
        [
          .init("SEQ", sequence), .init("FROM", userID, "a user, or CUSTOMER"), message,
          .init("MESSAGE_ID", identifier, isRequired: false),
        ], nil
      ),
      ("SESSION_ENDED", "The session has ended", [], nil),
      ("SESSION_ERASED", "The session is removed, and so should be its transcript", [supervisorField], nil),
    ])
}

extension QueueMessage {
  /// Checks the message against a table's rows for a queue.
  /// - Throws: `Malformed` for an unknown `TYPE`, and for `DATA` that does not match its schema.
  func check(against table: MessageTable, queue: String) throws(Malformed) {
    guard let row = table.row(type, in: queue) else {
      throw Malformed(reason: "TYPE: \"\(type.shortened(toBytes: 64))\" is not known in \(queue)")
    }
    if let fault = row.data.fault(in: data, at: "") { throw Malformed(reason: fault) }
  }
}
