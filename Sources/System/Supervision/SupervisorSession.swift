/// What a Session Supervisor does, as a machine without effects: messages in, messages out.
///
/// It takes its users, has each message given its place in the transcript, passes each on to the other users in the order of the
/// transcript, asks for another user when one leaves, and in the end releases all of them. What it knows the manager knows as well,
/// so that another one can go on where this one stops.
struct SupervisorSession: Sendable {
  /// What it asked for, as the answer names it.
  private enum Question: String {
    case initialize, users, append
  }

  enum Status: Hashable, Sendable {
    case starting, running
    /// It is over, or another one has taken over: nothing that comes is of interest.
    case over
  }

  let id: SupervisorID
  let epoch: Int64
  let data: JSONValue
  let host: String
  private(set) var status = Status.starting
  private(set) var users: [UserID] = []
  /// Where in the manager's order of messages the briefing was: it accounts for all news before it.
  private var briefedAt: Int64 = 0
  /// When users came and when they left: older news that comes late, because a stale host had it, changes nothing.
  private var came: [UserID: Int64] = [:]
  private var left: [UserID: Int64] = [:]

  init(id: SupervisorID, epoch: Int64, data: JSONValue, host: String) {
    self.id = id
    self.epoch = epoch
    self.data = data
    self.host = host
  }

  // MARK: Out

  private func message(_ type: String, _ data: JSONValue, id: String, asking question: Question? = nil) -> QueueMessage
  {
    var message = QueueMessage(type, data)
    message.supervisor = self.id
    message.epoch = epoch
    // The same thing that is said twice has the same name; what another epoch says has another.
    message.id = QueueMessage.id("\(self.id.text)/\(epoch)/\(id)")
    if let question {
      message.replyTo = QueueNames.fromManager(to: self.id)
      message.correlationID = "\(epoch)/\(question.rawValue)"
    }
    return message
  }

  /// The first thing it says, and says again until it is answered: an offer that comes twice may have reached two hosts, and the
  /// manager has one of them. The answer goes to the host.
  func begin(attempt: Int) -> QueueMessage {
    var message = message("INITIALIZE_SESSION", ["HOST": .string(host)], id: "initialize/\(host)/\(attempt)")
    message.replyTo = QueueNames.answers(to: host)
    message.correlationID = "\(epoch)/\(Question.initialize.rawValue)/\(id.text)"
    return message
  }

  private func relay(_ entry: JSONValue) -> [QueueMessage] {
    guard let sequence = entry["SEQ"], let from = entry["FROM"], let text = entry["MESSAGE"] else { return [] }
    let passed: JSONValue = ["SEQ": sequence, "FROM": from, "MESSAGE": text]
    return users.filter { $0.json != from }.map { user in
      message(
        "SEND_MESSAGE_TO_USER", ["USER_ID": user.json, "MESSAGE_FOR_USER": passed],
        id: "tell/\(sequence.text)/\(user.key)")
    }
  }

  private func append(_ data: JSONValue, from: JSONValue) throws(QueueMessage.Malformed) -> [QueueMessage] {
    var members: [JSONValue.Member] = [
      .init("MESSAGE_ID", .string(try QueueMessage.identifier(data, "MESSAGE_ID"))), .init("FROM", from),
      .init("MESSAGE", try QueueMessage.value(data, "MESSAGE")),
    ]
    if data["PREVIOUS"] != nil {
      members.append(.init("PREVIOUS", .string(try QueueMessage.identifier(data, "PREVIOUS"))))
    }
    // Asked again, it has to be answered again: what comes twice may have been refused before.
    var request = message("APPEND_TRANSCRIPT", .object(members), id: "", asking: .append)
    request.id = nil
    return [request]
  }

  // MARK: In

  /// An answer of the manager; `deliveryID` names it. nil when it is for the next one, which has taken over: then this one is over.
  mutating func take(answer: JSONValue, to correlationID: String, deliveryID: String) -> [QueueMessage]? {
    let parts = correlationID.split(separator: "/")
    guard status != .over, parts.count >= 2, let asker = Int64(parts[0]),
      let question = Question(rawValue: String(parts[1]))
    else { return [] }
    if isTakenOver(by: asker) { return nil }
    guard asker == epoch else { return [] }
    if answer["STATUS"] == "FAILED" {
      // Out of order: it comes again. Anything else means that this one is over.
      if answer["ERROR"] != "out of order" { status = .over }
      return []
    }
    switch question {
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
    // Whoever was here before may have asked already.
    let missing = wanted + Self.count("ADDITIONAL", in: answer) - users.count - Self.count("DEMAND", in: answer)
    return missing > 0 ? [ask(for: .int(Int64(min(missing, ClientBounds.users))), id: "users")] : []
  }

  /// A count in an answer of the manager, which was bounded there.
  private static func count(_ name: String, in answer: JSONValue) -> Int {
    Int(min(max(answer[name]?.int ?? 0, 0), Int64(ClientBounds.users)))
  }

  private static func users(in answer: JSONValue) -> [UserID] {
    (answer["LIST_USER_ID"]?.array ?? []).compactMap { UserID($0) }
  }

  private func ask(for count: JSONValue, id: String) -> QueueMessage {
    message("NEW_SESSION", ["USER_COUNT": count], id: id, asking: .users)
  }

  private mutating func add(_ more: [UserID], at position: Int64) {
    for user in more where left[user, default: 0] <= position {
      came[user] = max(came[user, default: 0], position)
      if !users.contains(user) { users.append(user) }
    }
  }

  /// The number at the end of the name of a message from the manager: its place in the order of all of them. What has none is new.
  private static func position(of deliveryID: String) -> Int64 {
    deliveryID.split(separator: "-").last.flatMap { Int64($0) } ?? .max
  }

  /// Whether a message shows that another one has the session now: then this one is over.
  private mutating func isTakenOver(by other: Int64) -> Bool {
    guard other > epoch else { return false }
    status = .over
    return true
  }

  /// A message from the manager or from the customer. `deliveryID` names it. nil when it has to be put back: it is for the next one, which
  /// has taken over, or this one has not been briefed yet, and its predecessor on the same host was still being given things.
  /// - Throws: for a message that belongs to the dead letters.
  mutating func take(
    _ incoming: QueueMessage, deliveryID: String
  ) throws(QueueMessage.Malformed) -> [QueueMessage]? {
    guard status != .over else { return [] }
    guard status == .running else { return nil }
    if let epoch = incoming.epoch, isTakenOver(by: epoch) { return nil }
    switch incoming.type {
    case "USER_MESSAGE": return try append(incoming.data, from: try QueueMessage.user(incoming.data).json)
    case "CUSTOMER_MESSAGE": return try append(incoming.data, from: "CUSTOMER")
    case "USER_MANAGER_MESSAGE":
      let news = try QueueMessage(incoming.data)
      return try told(news.type, news.data, deliveryID)
    default: throw .init(reason: "TYPE: \"\(incoming.type.shortened(toBytes: 64))\" is not known to supervisors")
    }
  }

  private mutating func told(
    _ what: String, _ data: JSONValue, _ deliveryID: String
  ) throws(QueueMessage.Malformed) -> [QueueMessage] {
    let position = Self.position(of: deliveryID)
    switch what {
    case "USERS_ASSIGNED":
      let users = try QueueMessage.users(data)
      if position > briefedAt { add(users, at: position) }
      return []
    case "USER_DISCONNECT":
      // The manager says so of users that the session has, whether or not this one has heard yet that it has them.
      let user = try QueueMessage.user(data)
      guard position > briefedAt else { return [] }
      left[user] = max(left[user, default: 0], position)
      if came[user, default: 0] <= position { users.removeAll { $0 == user } }
      return [
        message("ADDITIONAL_USERS", ["USER_COUNT": 1], id: "replace/\(deliveryID)", asking: .users)
      ]
    case "END_SESSION":
      status = .over
      return [message("USER_RELEASED", ["LIST_USER_ID": .array(users.map(\.json))], id: "release")]
    default: throw .init(reason: "TYPE: \"\(what.shortened(toBytes: 64))\" is not known to supervisors")
    }
  }
}
