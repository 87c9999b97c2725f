/// A Session Supervisor as a state machine: messages in, messages out, no effects.
///
/// It asks for its users, has each message appended to the transcript, relays each message to the
/// other users in the order of the transcript, asks for another user when one leaves, and releases
/// all of them at the end. The manager knows everything that it knows, so another supervisor can
/// continue the session.
struct SupervisorSession: Sendable {
  enum Status: Hashable, Sendable {
    case starting, running
    /// The session has ended, or another supervisor has it. Every further message is ignored.
    case over
  }

  let id: SupervisorID
  let epoch: Epoch
  let data: JSONValue
  let host: HostName
  private(set) var status = Status.starting
  private(set) var users: [UserID] = []
  /// The position of the briefing among the manager's messages. The briefing includes all news
  /// before.
  private var briefedAt: Int64 = 0
  /// The positions at which users came and left last. Older news has no effect; it comes late when
  /// a stale host held it.
  private var came: [UserID: Int64] = [:]
  private var left: [UserID: Int64] = [:]

  init(_ offer: SessionOffer, host: HostName) {
    id = offer.session
    epoch = offer.epoch
    data = offer.data
    self.host = host
  }

  // MARK: Out

  private func message(
    _ type: String, _ data: JSONValue, id: String, asking kind: SupervisorQuestion.Kind? = nil
  ) -> QueueMessage {
    var message = QueueMessage(type, data)
    message.supervisor = self.id
    message.epoch = epoch
    // A message that is sent again in one epoch has the same id.
    message.id = QueueMessage.id("\(self.id.text)/\(epoch.number)/\(id)")
    if let kind {
      message.replyTo = QueueNames.fromManager(to: self.id)
      message.correlationID = AMQPText(SupervisorQuestion(kind, epoch: epoch).correlationID)
    }
    return message
  }

  /// Asks for the session. An offer that is delivered twice may reach two hosts, and the manager
  /// accepts one of them, so the answer goes to the host's queue.
  func begin(attempt: Int) -> QueueMessage { initialize(id: "\(attempt)", check: nil) }

  /// Asks whether the host still has the session. The manager refuses if another host has it, or if
  /// it has ended.
  func check(number: Int) -> QueueMessage { initialize(id: "check-\(number)", check: number) }

  private func initialize(id: String, check: Int?) -> QueueMessage {
    var message = message("INITIALIZE_SESSION", ["HOST": .string(host.text)], id: "initialize/\(host.text)/\(id)")
    message.replyTo = QueueNames.answers(to: host)
    message.correlationID = AMQPText(
      SupervisorQuestion(.initialize, epoch: epoch, session: self.id, check: check).correlationID)
    return message
  }

  private func relay(_ entry: JSONValue) -> [QueueMessage] {
    guard let sequence = entry["SEQ"], let from = entry["FROM"], let text = entry["MESSAGE"] else { return [] }
    let relayed: JSONValue = ["SEQ": sequence, "FROM": from, "MESSAGE": text]
    return users.filter { $0.json != from }.map { user in
      message(
        "SEND_MESSAGE_TO_USER", ["USER_ID": user.json, "MESSAGE_FOR_USER": relayed],
        id: "tell/\(sequence.text)/\(user.key)")
    }
  }

  private func append(_ data: JSONValue, from sender: UserID) throws(QueueMessage.Malformed) -> [QueueMessage] {
    var members: [JSONValue.Member] = [
      .init("MESSAGE_ID", .string(try QueueMessage.messageID(data).text)), .init("FROM", sender.json),
      .init("MESSAGE", try QueueMessage.value(data, "MESSAGE")),
    ]
    if data["PREVIOUS"] != nil {
      members.append(.init("PREVIOUS", .string(try QueueMessage.messageID(data, "PREVIOUS").text)))
    }
    var request = message("APPEND_TRANSCRIPT", .object(members), id: "", asking: .append)
    // Without an id the manager answers it each time: the answer before may have been a refusal.
    request.id = nil
    return [request]
  }

  private func ask(for count: JSONValue, id: String) -> QueueMessage {
    message("NEW_SESSION", ["USER_COUNT": count], id: id, asking: .users)
  }

  // MARK: Answers

  /// Takes an answer of the manager. `deliveryID` is its message id.
  ///
  /// Returns nil if the answer is for a later supervisor; then this one is over.
  mutating func take(
    answer: JSONValue, to question: SupervisorQuestion, deliveryID: String
  ) -> [QueueMessage]? {
    guard status != .over else { return [] }
    if isReplaced(by: question.epoch) { return nil }
    guard question.epoch == epoch else { return [] }
    if answer["STATUS"] == "FAILED" {
      // The message that was out of order is sent again. Any other failure ends the supervisor.
      if answer["ERROR"] != "out of order" { status = .over }
      return []
    }
    switch question.kind {
    case .initialize: return initialized(answer, at: Self.position(of: deliveryID))
    case .users:
      add(Self.users(in: answer), at: Self.position(of: deliveryID))
      return []
    case .append: return relay(answer)
    }
  }

  private mutating func initialized(_ answer: JSONValue, at position: Int64) -> [QueueMessage] {
    guard status == .starting else { return [] }
    status = .running
    briefedAt = position
    add(Self.users(in: answer), at: position)
    guard case .number(let wanted) = UserCount(clamping: data["USER_COUNT"]) else {
      return users.isEmpty ? [ask(for: "ALL", id: "users")] : []
    }
    // The last supervisor may have asked for some already.
    let missing = wanted + Self.count("ADDITIONAL", in: answer) - users.count - Self.count("DEMAND", in: answer)
    return missing > 0 ? [ask(for: .int(Int64(min(missing, ClientBounds.users))), id: "users")] : []
  }

  private static func count(_ name: String, in answer: JSONValue) -> Int {
    Int(min(max(answer[name]?.int ?? 0, 0), Int64(ClientBounds.users)))
  }

  private static func users(in answer: JSONValue) -> [UserID] {
    (answer["LIST_USER_ID"]?.array ?? []).compactMap { UserID($0) }
  }

  private mutating func add(_ more: [UserID], at position: Int64) {
    var known = Set(users)
    for user in more where left[user, default: 0] <= position {
      came[user] = max(came[user, default: 0], position)
      if known.insert(user).inserted { users.append(user) }
    }
  }

  /// The position of a message among all that the manager sends: the number at the end of its id. A
  /// message without one counts as the newest.
  private static func position(of deliveryID: String) -> Int64 {
    deliveryID.split(separator: "-").last.flatMap { Int64($0) } ?? .max
  }

  private mutating func isReplaced(by other: Epoch) -> Bool {
    guard other > epoch else { return false }
    status = .over
    return true
  }

  // MARK: Messages

  /// Takes a message of the manager or the customer. `deliveryID` is its message id.
  ///
  /// Returns nil if the message has to be put back: it is for a later supervisor, or this one has
  /// not been briefed, and a predecessor on the same host still consumed the queue.
  /// - Throws: `QueueMessage.Malformed` for a message that belongs in the dead-letter queue.
  mutating func take(
    _ incoming: QueueMessage, deliveryID: String
  ) throws(QueueMessage.Malformed) -> [QueueMessage]? {
    guard status != .over else { return [] }
    guard status == .running else { return nil }
    if let epoch = incoming.epoch, isReplaced(by: epoch) { return nil }
    switch incoming.type {
    case "USER_MESSAGE": return try append(incoming.data, from: try QueueMessage.user(incoming.data))
    case "CUSTOMER_MESSAGE": return try append(incoming.data, from: .customer)
    case "USER_MANAGER_MESSAGE":
      return try takeNews(try QueueMessage(incoming.data), deliveryID)
    default: throw Self.unknown(incoming.type)
    }
  }

  private mutating func takeNews(
    _ news: QueueMessage, _ deliveryID: String
  ) throws(QueueMessage.Malformed) -> [QueueMessage] {
    let position = Self.position(of: deliveryID)
    switch news.type {
    case "USERS_ASSIGNED":
      let users = try QueueMessage.users(news.data)
      if position > briefedAt { add(users, at: position) }
      return []
    case "USER_DISCONNECT":
      // The user is one of the session's, though this supervisor may not have heard that yet.
      let user = try QueueMessage.user(news.data)
      guard position > briefedAt else { return [] }
      left[user] = max(left[user, default: 0], position)
      if came[user, default: 0] <= position { users.removeAll { $0 == user } }
      return [
        message("ADDITIONAL_USERS", ["USER_COUNT": 1], id: "replace/\(deliveryID)", asking: .users)
      ]
    case "END_SESSION":
      status = .over
      return [message("USER_RELEASED", ["LIST_USER_ID": .array(users.map(\.json))], id: "release")]
    default: throw Self.unknown(news.type)
    }
  }

  private static func unknown(_ type: String) -> QueueMessage.Malformed {
    QueueMessage.Malformed(reason: "TYPE: \"\(type.shortened(toBytes: 64))\" is not known to supervisors")
  }
}
