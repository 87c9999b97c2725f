import System

/// The messages of a run, each with the interval in which it was stored.
///
/// All attempts to send a message under one `client_id` are one message.
struct ChatStores {
  struct Store {
    let sender: Int64
    let content: String
    /// The index of the first attempt in the log.
    let call: Int
    var invoked: Int
    var answered = Int.max
    /// Nil if nobody saw the message.
    var sequence: Int64?
    /// The users who received or read it.
    var seenBy: Set<Int64> = []
  }

  /// An attempt that was refused although nothing is wrong with the message but the right to write.
  struct Refusal {
    let sender: Int64
    let conversation: Conversation
    let call: Int
    let message: MessageArguments
  }

  private struct Key: Hashable {
    let sender: Int64
    let conversation: Conversation
    let clientID: String
    let content: String
  }

  private(set) var stores: [Conversation: [Store]] = [:]
  private(set) var refusals: [Refusal] = []
  /// Conversations to which any of several users may have sent a message. They are not judged.
  private(set) var undecided: Set<Conversation> = []
  /// The messages that no call of the log has sent.
  private(set) var strange: [MessageFact] = []
  private var places: [Key: Int] = [:]
  /// The messages under each `client_id` of a sender.
  private var uses: [String: Set<Key>] = [:]
  private var sequences: [Conversation: [Int64: Int]] = [:]

  init(_ log: CallLog, _ identities: Identities) {
    for (index, call) in log.calls.enumerated() where call.name == "send_message" {
      guard case .socket = call.way, !call.isMalformed, !call.isTurnedAway else { continue }
      let senders = identities.callers(of: call, in: log)
      if senders.count == 1, let sender = senders.first?.number {
        note(call, index, from: sender)
      } else {
        exclude(call, from: senders)
      }
    }
    for (index, call) in log.calls.enumerated() where call.status == 200 {
      guard call.name == "GET /getContactMessages" || call.name == "GET /getGroupMessages" else { continue }
      let reader = identities.caller(of: call, in: log)?.number
      for message in call.answer.array ?? [] { see(message, by: reader, at: log.calls[index].interval.answered) }
    }
    for socket in log.sockets where socket.namespace == "/" {
      let owners = identities.sessions[socket.session]?.owners ?? []
      let reader = owners.count == 1 ? owners.first!.number : nil
      for event in socket.events where event.name == "new_message" { see(event.data, by: reader, at: event.position) }
    }
  }

  private mutating func note(_ call: LoggedCall, _ index: Int, from sender: Int64) {
    guard let message = MessageArguments(call.arguments) else { return }
    let conversation: Conversation = message.isGroup ? .group(message.recipient) : .between(sender, message.recipient)
    if call.status == 400, !call.isUnknown {
      refusals.append(Refusal(sender: sender, conversation: conversation, call: index, message: message))
      return
    }
    let key = key(message, from: sender, in: conversation)
    if let key { uses["\(sender) \(key.clientID)", default: []].insert(key) }
    let place = key.flatMap { places[$0] } ?? stores[conversation, default: []].count
    if place == stores[conversation, default: []].count {
      stores[conversation, default: []].append(
        Store(sender: sender, content: message.content, call: index, invoked: call.interval.invoked))
      if let key { places[key] = place }
    }
    guard call.status == 200, let sequence = call.answer["seq"]?.int else { return }
    stores[conversation]![place].answered = min(stores[conversation]![place].answered, call.interval.answered)
    if stores[conversation]![place].sequence == nil { settle(place, conversation, sequence) }
  }

  private mutating func exclude(_ call: LoggedCall, from senders: Set<Identities.User>) {
    guard let message = MessageArguments(call.arguments) else { return }
    for sender in senders {
      undecided.insert(message.isGroup ? .group(message.recipient) : .between(sender.number, message.recipient))
    }
  }

  private mutating func settle(_ place: Int, _ conversation: Conversation, _ sequence: Int64) {
    stores[conversation]![place].sequence = sequence
    sequences[conversation, default: [:]][sequence] = place
  }

  /// A user sees a message; nil for a user who is not known for certain.
  private mutating func see(_ message: JSONValue, by reader: Int64?, at position: Int) {
    guard let fact = MessageFact(message) else { return }
    let conversation = fact.conversation
    var place = sequences[conversation]?[fact.sequence]
    if place == nil {
      place = stores[conversation]?.firstIndex {
        $0.sequence == nil && $0.sender == fact.sender && $0.content == fact.content
      }
      if let place { settle(place, conversation, fact.sequence) }
    }
    guard let place else {
      strange.append(fact)
      return
    }
    stores[conversation]![place].answered = min(stores[conversation]![place].answered, position)
    if let reader { stores[conversation]![place].seenBy.insert(reader) }
  }

  private func key(_ message: MessageArguments, from sender: Int64, in conversation: Conversation) -> Key? {
    message.clientID.map {
      Key(sender: sender, conversation: conversation, clientID: $0, content: message.content)
    }
  }

  /// Whether a message that is refused was certainly stored before a position.
  func isStored(_ refusal: Refusal, before position: Int) -> Bool {
    guard let key = key(refusal.message, from: refusal.sender, in: refusal.conversation), let place = places[key] else {
      return false
    }
    return stores[refusal.conversation]![place].answered < position
  }

  /// Whether the `client_id` of a message that is refused may have been that of another one.
  func isReused(_ refusal: Refusal) -> Bool {
    guard let key = key(refusal.message, from: refusal.sender, in: refusal.conversation) else { return false }
    return uses["\(key.sender) \(key.clientID)"]?.contains { $0 != key } ?? false
  }
}

/// The data of a `send_message` that nothing is wrong with but perhaps the right to send it.
struct MessageArguments {
  let recipient: Int64
  let isGroup: Bool
  let content: String
  let clientID: String?

  init?(_ data: JSONValue) {
    let kind = data["type"]?.string ?? "text"
    guard let recipient = data["recipient_id"]?.int, (1..<1 << 53).contains(recipient),
      let content = data["content"]?.string, content.utf8.count <= 65_536, !content.isEmpty || kind != "text",
      ["text", "image", "item"].contains(kind), data["type"] == nil || data["type"]?.string != nil,
      data["is_group"] == nil || data["is_group"]?.bool != nil, data["sessionID"]?.string != nil
    else { return nil }
    clientID = data["client_id"]?.string
    guard data["client_id"] == nil || (1...255).contains(clientID?.utf8.count ?? 0) else { return nil }
    self.recipient = recipient
    self.content = content
    isGroup = data["is_group"]?.bool ?? false
  }
}
