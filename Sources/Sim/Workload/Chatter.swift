import Environment
import System

/// What is known to all people of a chat scenario: their names, and the groups they made.
final class ChatCommons: Commons, @unchecked Sendable {
  /// By name, once known.
  var users: [String: Int64] = [:]
  var groups: [(id: Int64, creator: String)] = []
  /// Groups that nobody writes to any more; what was said there can be read to the end.
  var abandoned: [Int64] = []
  /// Who has a new account, and whom of their friends they have asked again.
  var requests: [(asker: String, asked: String)] = []
  /// Who is out of a group and may come back, and how often somebody has tried to add them.
  var strays: [(name: String, group: Int64, attempts: Int)] = []
}

/// A simulated user of the Chat Service: a node of its own, with devices that speak Socket.IO and hands that use REST.
final class Chatter: Resident<ChatHistory, ChatCommons, ChatAction>, Inhabitant, @unchecked Sendable {
  private(set) var devices: [ChatDevice] = []
  private var nextMessage = 0
  private var sent: [Sending] = []
  /// Sessions that the person has tried to end while a device was on them.
  private var givenUp: Set<String> = []
  var user: Int64 = 0

  /// Everybody else of the same kind.
  private var peers: [String] { behavior.names.filter { $0 != name } }
  /// Whom they know: those who come next in the circle of names, on both sides.
  private var friends: [String] {
    let names = behavior.names
    let place = names.firstIndex(of: name)!
    return names.indices.filter {
      let ahead = ($0 - place + names.count) % names.count
      let distance = min(ahead, names.count - ahead)
      return 1...max(1, (behavior.contacts + 1) / 2) ~= distance
    }.map { names[$0] }
  }

  // MARK: The day

  func live(_ environment: Environment) async throws {
    let begin = environment.clock.now
    let hands = ChatHands(self, environment)
    try await hands.register()
    for index in 0..<behavior.devices {
      let device = ChatDevice(
        environment, name, behavior, history: history, tally: tally, stream: stream, commons: commons)
      device.user = user
      device.session = try await hands.login()
      if index == 0 || stream.chance(0.8) { device.start() }
      devices.append(device)
    }
    try await hands.befriend(friends)
    if name == behavior.names.first { try await hands.createGroup(friends) }
    while let action = try await agenda.next(since: begin, stream, tally, environment) {
      try await act(action, hands, environment)
    }
    try await settle(hands, environment)
    isServed = true
  }

  /// A device with a socket, if there is one.
  private func connectedDevice() -> ChatDevice? {
    stream.pickAny(of: devices.filter(\.isConnected))
  }

  private func act(_ action: ChatAction, _ hands: ChatHands, _ environment: Environment) async throws {
    while let index = commons.requests.firstIndex(where: { $0.asked == name }) {
      try await hands.befriend([commons.requests.remove(at: index).asker])
    }
    switch action {
    case .sendDirect:
      guard let peer = knownPeer() else { return }
      try await send(to: .between(user, peer), environment)
    case .sendGroup:
      guard let group = someGroup() else { return try await hands.createGroup(friends) }
      try await bringBack(hands)
      try await send(to: .group(group.id), environment)
    case .repeatMessage: try await repeatMessage(environment)
    case .sendTwice:
      guard let peer = knownPeer() else { return }
      try await send(to: .between(user, peer), environment, twice: true)
    case .typing:
      guard let peer = knownPeer(), let device = connectedDevice() else { return }
      try await device.tell("typing", ["recipient_id": .int(peer), "is_group": false])
    case .disconnect: await connectedDevice()?.hangUp(silently: false)
    case .vanish: await connectedDevice()?.hangUp(silently: true)
    case .putAway:
      guard let device = connectedDevice() else { return }
      device.wants = false
      await device.hangUp(silently: stream.chance(0.5))
      try await environment.clock.sleep(for: stream.exponential(mean: .seconds(2)))
      device.wants = true
    case .block:
      guard let peer = agenda.target ?? stream.pickAny(of: friends) else { return }
      try await hands.block(peer)
    case .leaveGroup: try await leave(hands, environment)
    case .removeMember:
      guard let group = commons.groups.first(where: { $0.creator == name }),
        let peer = agenda.target ?? stream.pickAny(of: peers)
      else { return }
      _ = try await hands.changeMember(peer, of: group.id, isAdded: false)
      try await environment.clock.sleep(for: stream.exponential(mean: .seconds(1)))
      if try await !hands.changeMember(peer, of: group.id, isAdded: true) { noteStray(peer, group.id) }
    case .logoutElsewhere:
      // The device goes on with it, until it is told.
      guard let session = stream.pick(devices).session else { return }
      givenUp.insert(session)
      try await hands.logout(session)
    case .deleteSession:
      guard let session = stream.pick(devices).session else { return }
      givenUp.insert(session)
      try await hands.deleteSession(session)
    case .logoutWhileConnecting:
      let device = stream.pick(devices)
      // Whoever waited for a session while nobody can give one would do nothing else.
      guard let session = try await hands.tryToLogin() else { return }
      device.session = session
      await device.connectAgainAtOnce()
      try await environment.clock.sleep(for: stream.duration(.zero...(.milliseconds(20))))
      device.session = nil
      try await hands.logout(session)
    case .readHistory:
      guard let peer = agenda.target ?? stream.pickAny(of: friends) else { return }
      try await hands.look(at: peer)
    case .deleteUser: try await replaceAccount(hands)
    }
    // When nobody lets them in, they go on with what they have, and try again.
    for device in devices where device.session == nil { device.session = try await hands.tryToLogin() }
    for device in devices { device.start() }
  }

  /// Deletes the account and registers the name again, asks the friends once more, and may be added to the groups.
  private func replaceAccount(_ hands: ChatHands) async throws {
    let former = user
    let sessions = devices.compactMap(\.session)
    givenUp.formUnion(sessions)
    try await hands.replaceAccount(sessions)
    for device in devices {
      // Its socket stays open until the service closes it.
      device.session = nil
      device.user = user
    }
    // The other account has sent nothing.
    sent = []
    let groups = history.changes.compactMap { change -> Int64? in
      if case .member(let group, former, true) = change.kind { group } else { nil }
    }
    for group in commons.groups where groups.contains(group.id) { noteStray(name, group.id) }
    try await hands.befriend(friends)
    commons.requests += friends.map { (name, $0) }
  }

  /// Whom the script names, or one of their friends, once known.
  private func knownPeer() -> Int64? {
    if let target = agenda.target { return commons.users[target] }
    return stream.pickAny(of: friends.compactMap { commons.users[$0] })
  }

  /// The group of whom the script names, or one of all.
  private func someGroup() -> (id: Int64, creator: String)? {
    if let target = agenda.target { return commons.groups.first { $0.creator == target } }
    return stream.pickAny(of: commons.groups)
  }

  private func leave(_ hands: ChatHands, _ environment: Environment) async throws {
    guard let group = someGroup() else { return }
    if try await hands.changeMember(name, of: group.id, isAdded: false) { noteStray(name, group.id) }
  }

  private func noteStray(_ name: String, _ group: Int64) {
    guard !commons.strays.contains(where: { $0.name == name && $0.group == group }) else { return }
    commons.strays.append((name, group, 0))
  }

  /// Attempts after which a group is taken for one without an admin.
  private static let patienceWithStrays = 12

  /// Adds somebody again who has left a group: without that, all groups are empty soon. Only an admin can, so others try too;
  /// when nobody can, there is a new group.
  private func bringBack(_ hands: ChatHands) async throws {
    guard let index = commons.strays.firstIndex(where: { $0.name != name }) else { return }
    var stray = commons.strays.remove(at: index)
    if try await hands.changeMember(stray.name, of: stray.group, isAdded: true) { return }
    stray.attempts += 1
    if stray.attempts < Self.patienceWithStrays {
      commons.strays.append(stray)
    } else {
      commons.groups.removeAll { $0.id == stray.group }
      commons.strays.removeAll { $0.group == stray.group }
      commons.abandoned.append(stray.group)
      if commons.groups.isEmpty { try await hands.createGroup(friends) }
    }
  }

  // MARK: Messages

  func send(to conversation: Conversation, _ environment: Environment, twice: Bool = false) async throws {
    nextMessage += 1
    let content = "\(name)/\(nextMessage)"
    var sending = Sending(
      person: name, sender: user, conversation: conversation, content: content, clientID: content,
      interval: history.begin())
    let index = history.sendings.count
    history.sendings.append(sending)
    if twice { try await attemptTwice(&sending) }
    for _ in 0..<4 where sending.acknowledgements.isEmpty && sending.refusal == nil {
      if try await attempt(&sending) { break }
      tally.count(.resends)
      try await environment.clock.sleep(for: stream.exponential(mean: .milliseconds(700)))
      history.sendings[index] = sending
    }
    history.end(&sending.interval)
    history.sendings[index] = sending
    sent.append(sending)
    if sent.count > 8 { sent.removeFirst() }
    lastSeen = "\(content) to \(conversation): \(sending.isAcknowledged ? "stored" : sending.refusal ?? "no answer")"
  }

  /// Two devices send the same at the same time, as when both have found it in their outbox.
  private func attemptTwice(_ sending: inout Sending) async throws {
    var (one, other) = (sending, sending)
    let connected = devices.filter(\.isConnected)
    guard connected.count > 1 else { return }
    tally.count(.doubleSends)
    async let first: Sending = {
      _ = try await attempt(&one, from: connected[0])
      return one
    }()
    _ = try await attempt(&other, from: connected[1])
    let answers = [try await first, other]
    sending.acknowledgements = answers.flatMap(\.acknowledgements)
    sending.accepted = answers.flatMap(\.accepted)
    sending.refusal = sending.isAcknowledged ? nil : answers.compactMap(\.refusal).first
    sending.hasUnknown = answers.contains(where: \.hasUnknown)
  }

  /// One attempt; true when it was answered.
  private func attempt(_ sending: inout Sending, from device: ChatDevice? = nil) async throws -> Bool {
    guard let device = device ?? connectedDevice(), let session = device.session else { return false }
    let recipient: Int64
    let isGroup: Bool
    switch sending.conversation {
    case .direct(let a, let b): (recipient, isGroup) = (a == user ? b : a, false)
    case .group(let id): (recipient, isGroup) = (id, true)
    }
    tally.count(.messages)
    var call = ServiceCall(person: name, what: "send_message \"\(sending.content)\"", interval: history.begin())
    let answer = try await device.call(
      "send_message",
      [
        "sessionID": .string(session), "recipient_id": .int(recipient), "content": .string(sending.content),
        "is_group": .bool(isGroup), "client_id": .string(sending.clientID),
      ], patience: behavior.patience)
    guard let answer else {
      sending.hasUnknown = true
      return false
    }
    if answer["status"] == "ok", let id = answer["message_id"]?.int, let sequence = answer["seq"]?.int {
      tally.count(.messagesStored)
      if isGroup { tally.count(.groupMessagesStored) }
      sending.acknowledgements.append(
        Acknowledgement(id: id, sequence: sequence, timestamp: answer["timestamp"]?.string ?? ""))
      sending.accepted.append((session, call.interval.invokedAt))
      return true
    }
    let message = answer["message"]?.string ?? "no reason"
    let isUnavailable = message.hasSuffix("not available")
    if isUnavailable || message == "internal error" {
      history.end(&call.interval)
      call.status = message == "internal error" ? 500 : 503
      history.calls.append(call)
    }
    if isUnavailable || message.hasSuffix("stopping") || message.hasSuffix("no such session") {
      // It may have been stored all the same.
      sending.hasUnknown = true
      return false
    }
    sending.refusal = message
    tally.count(.messagesRefused)
    return true
  }

  /// Sends a message once more that was acknowledged: the answer has to be the same.
  private func repeatMessage(_ environment: Environment) async throws {
    let known = sent.filter(\.isAcknowledged)
    guard !known.isEmpty else { return }
    var again = stream.pick(known)
    guard let index = history.sendings.firstIndex(where: { $0.clientID == again.clientID && $0.person == name }) else {
      return
    }
    tally.count(.resends)
    let before = again.acknowledgements.count
    _ = try await attempt(&again)
    if again.acknowledgements.count > before {
      history.sendings[index].acknowledgements.append(again.acknowledgements.last!)
      history.sendings[index].accepted.append(again.accepted.last!)
    }
  }

  // MARK: The end

  /// Some go, the others stay; everything comes to rest; then all look at what is there.
  private func settle(_ hands: ChatHands, _ environment: Environment) async throws {
    let stays = stream.chance(0.6)
    for device in devices where device.session.map(givenUp.contains) ?? true {
      await device.hangUp(silently: false)
      device.session = try await hands.login()
    }
    for (index, device) in devices.enumerated() {
      device.wants = stays && (index == 0 || device.isConnected)
      if !device.wants { await device.hangUp(silently: stream.chance(0.5)) }
      device.start()
    }
    history.isOnlineAtEnd[user] = stays
    if stays {
      while !devices[0].isConnected {
        lastSeen = "waits for a socket"
        if devices[0].session == nil { devices[0].session = try await hands.login() }
        try await environment.clock.sleep(for: .milliseconds(100))
      }
      if let peer = knownPeer() { try await send(to: .between(user, peer), environment) }
    }
    commons.settled += 1
    while commons.settled < commons.people { try await environment.clock.sleep(for: .seconds(1)) }
    try await comeToRest(environment)
    try await hands.readEverything(friends)
    // Nobody goes before the others have looked.
    commons.looked += 1
    while commons.looked < commons.people { try await environment.clock.sleep(for: .seconds(1)) }
    for device in devices { await device.stop() }
  }
}
