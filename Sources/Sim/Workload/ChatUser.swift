import Environment
import Simulation
import System

/// A user of the Chat Service, with several devices and a client of the REST interface.
final class ChatUser: SimulatedUser {
  let state: UserState
  private let account: ChatAccount
  private let outbox: ChatOutbox
  private var agenda: Agenda<ChatAction>
  /// Sessions that the user has ended, or tried to, while a device used them.
  private var endedSessions: Set<String> = []

  private var directory: ChatDirectory { account.directory }
  private var history: ChatHistory { account.history }
  private var stream: ChoiceStream { state.stream }
  private var behavior: UserGroup { state.behavior }
  private var devices: [ChatDevice] { outbox.devices }

  init(_ state: UserState, history: ChatHistory, directory: ChatDirectory, agenda: Agenda<ChatAction>) {
    self.state = state
    self.agenda = agenda
    account = ChatAccount(state, history: history, directory: directory)
    outbox = ChatOutbox(account)
    directory.rendezvous.users += 1
  }

  /// The others of the group.
  private var peers: [String] { behavior.names.filter { $0 != name } }

  /// The others that the user knows: its neighbours in the circle of names, on both sides.
  private var friends: [String] {
    let names = behavior.names
    let place = names.firstIndex(of: name)!
    return names.indices.filter {
      let ahead = ($0 - place + names.count) % names.count
      let distance = min(ahead, names.count - ahead)
      return 1...max(1, (behavior.contacts + 1) / 2) ~= distance
    }.map { names[$0] }
  }

  func live(_ environment: Environment) async throws {
    let begin = environment.clock.now
    let client = ChatClient(account, environment)
    try await state.inTurn(.arrive, environment) { try await arrive(client, environment) }
    try await state.inTurn(.meet, environment) {
      try await client.befriend(friends)
      if name == behavior.names.first { try await client.createGroup(friends) }
      rest(client)
    }
    while let action = try await agenda.next(since: begin, environment) {
      try await act(action, client, environment)
      rest(client)
    }
    try await settle(client, environment)
    state.isServed = true
  }

  private func arrive(_ client: ChatClient, _ environment: Environment) async throws {
    try await client.register()
    for index in 0..<behavior.devices {
      let device = ChatDevice(account, environment)
      device.socket.session = try await client.login()
      if index == 0 || stream.chance(0.8) { device.socket.start() }
      outbox.devices.append(device)
    }
    rest(client)
  }

  /// Closes the client's connections between two turns. A restart would end them, and the next
  /// request with them.
  private func rest(_ client: ChatClient) { if state.turns != nil { client.close() } }

  // MARK: Actions

  private func act(_ action: ChatAction, _ client: ChatClient, _ environment: Environment) async throws {
    while let index = directory.requests.firstIndex(where: { $0.asked == name }) {
      try await client.befriend([directory.requests.remove(at: index).asker])
    }
    switch action {
    case .sendDirect:
      guard let peer = knownPeer() else { return }
      try await outbox.send(to: .between(account.id, peer), environment)
    case .sendGroup:
      guard let group = knownGroup() else { return try await client.createGroup(friends) }
      try await addFormerMember(client)
      try await outbox.send(to: .group(group.id), environment)
    case .repeatMessage: try await outbox.repeatMessage()
    case .sendTwice:
      guard let peer = knownPeer() else { return }
      try await outbox.send(to: .between(account.id, peer), isTwice: true, environment)
    case .typing:
      guard let peer = knownPeer(), let device = outbox.connectedDevice(), let line = device.socket.record else {
        return
      }
      history.typings.append(
        Typing(
          person: name, sender: account.id, peer: peer, line: line, position: history.next(), time: history.time))
      try await device.socket.tell("typing", ["recipient_id": .int(peer), "is_group": false])
    case .disconnect: await outbox.connectedDevice()?.socket.hangUp(silently: false)
    case .vanish: await outbox.connectedDevice()?.socket.hangUp(silently: true)
    case .putAway: guard try await putAway(environment) else { return }
    case .block:
      guard let peer = agenda.target ?? stream.pickAny(of: friends) else { return }
      try await client.block(peer)
    case .leaveGroup: try await leaveGroup(client)
    case .removeMember: guard try await removeMember(client, environment) else { return }
    case .logoutElsewhere:
      // The device goes on with the session until it hears of its end.
      guard let session = stream.pick(devices).socket.session else { return }
      endedSessions.insert(session)
      try await client.logout(session)
      try await hearOfEnd(environment)
    case .deleteSession:
      guard let session = stream.pick(devices).socket.session else { return }
      endedSessions.insert(session)
      try await client.deleteSession(session)
      try await hearOfEnd(environment)
    case .logoutWhileConnecting:
      guard try await logOutWhileConnecting(client, environment) else { return }
    case .readHistory:
      guard let peer = agenda.target ?? stream.pickAny(of: friends) else { return }
      try await client.look(at: peer)
    case .deleteUser: try await replaceAccount(client, byOperator: false)
    case .eraseUser: try await replaceAccount(client, byOperator: true)
    }
    // A device without a session tries once to get one, and goes on without it.
    for device in devices where device.socket.session == nil { device.socket.session = try await client.tryToLogin() }
    for device in devices { device.socket.start() }
  }

  /// Waits until a device has heard of the end of its session, if users take turns: whether it has
  /// at the end of the turn would be up to the schedule.
  private func hearOfEnd(_ environment: Environment) async throws {
    if state.turns != nil { try await environment.clock.sleep(for: Turns.settling) }
  }

  /// False if no device was connected.
  private func putAway(_ environment: Environment) async throws -> Bool {
    guard let device = outbox.connectedDevice() else { return false }
    device.socket.isWanted = false
    await device.socket.hangUp(silently: stream.chance(0.5))
    try await state.pause(mean: .seconds(2), environment)
    device.socket.isWanted = true
    return true
  }

  /// False if there was nobody to remove.
  private func removeMember(_ client: ChatClient, _ environment: Environment) async throws -> Bool {
    guard let group = directory.groups.first(where: { $0.creator == name }),
      let peer = agenda.target ?? stream.pickAny(of: peers)
    else { return false }
    _ = try await client.changeMember(peer, of: group.id, isAdded: false)
    try await state.pause(mean: .seconds(1), environment)
    if try await !client.changeMember(peer, of: group.id, isAdded: true) {
      directory.noteFormerMember(peer, of: group.id)
    }
    return true
  }

  /// False if no session could be opened now. To wait for one would keep the user from all else.
  private func logOutWhileConnecting(_ client: ChatClient, _ environment: Environment) async throws -> Bool {
    let device = stream.pick(devices)
    guard let session = try await client.tryToLogin() else { return false }
    device.socket.session = session
    await device.socket.reconnectAtOnce()
    try await environment.clock.sleep(for: stream.duration(.zero...(.milliseconds(20))))
    device.socket.session = nil
    try await client.logout(session)
    return true
  }

  /// Deletes the account and registers its name again. The new account adds its friends, and may be
  /// added to the groups of the old one.
  private func replaceAccount(_ client: ChatClient, byOperator: Bool) async throws {
    let former = account.id
    let sessions = devices.compactMap(\.socket.session)
    endedSessions.formUnion(sessions)
    try await client.replaceAccount(sessions, byOperator: byOperator)
    // The sockets stay open until the service closes them.
    for device in devices { device.socket.session = nil }
    outbox.forget()
    let groups = history.changes.compactMap { change -> Int64? in
      if case .member(let group, former, true) = change.kind { group } else { nil }
    }
    for group in directory.groups where groups.contains(group.id) { directory.noteFormerMember(name, of: group.id) }
    try await client.befriend(friends)
    directory.requests += friends.map { (name, $0) }
  }

  // MARK: Friends and groups

  /// The target of the script, or a friend; nil if their user id is not known yet.
  private func knownPeer() -> Int64? {
    if let target = agenda.target { return directory.users[target] }
    return stream.pickAny(of: friends.compactMap { directory.users[$0] })
  }

  /// The group that the target of the script has created, or any.
  private func knownGroup() -> (id: Int64, creator: String)? {
    if let target = agenda.target { return directory.groups.first { $0.creator == target } }
    return stream.pickAny(of: directory.groups)
  }

  private func leaveGroup(_ client: ChatClient) async throws {
    guard let group = knownGroup() else { return }
    if try await client.changeMember(name, of: group.id, isAdded: false) {
      directory.noteFormerMember(name, of: group.id)
    }
  }

  /// After this many failed attempts to add a member, a group is considered to have no admin.
  private static let mostAttempts = 12

  /// Adds a former member to its group again, since otherwise all groups are empty soon. Only an
  /// admin can, so every user tries; a group without an admin is abandoned.
  private func addFormerMember(_ client: ChatClient) async throws {
    guard let index = directory.formerMembers.firstIndex(where: { $0.name != name }) else { return }
    var member = directory.formerMembers.remove(at: index)
    if try await client.changeMember(member.name, of: member.group, isAdded: true) { return }
    member.attempts += 1
    if member.attempts < Self.mostAttempts {
      directory.formerMembers.append(member)
    } else {
      directory.groups.removeAll { $0.id == member.group }
      directory.formerMembers.removeAll { $0.group == member.group }
      directory.abandoned.append(member.group)
      if directory.groups.isEmpty { try await client.createGroup(friends) }
    }
  }

  // MARK: The end

  /// Some users go offline and the others stay. When everything has come to rest, all read what is
  /// there.
  private func settle(_ client: ChatClient, _ environment: Environment) async throws {
    try await state.inTurn(.settle, environment) { try await stayOrGo(client, environment) }
    let rendezvous = directory.rendezvous
    rendezvous.settle()
    try await rendezvous.waitForAll(environment)
    try await rendezvous.comeToRest(behavior.rest, now: history.time, environment)
    try await state.inTurn(.look, environment) { try await client.readEverything(friends) }
    rendezvous.look()
    try await rendezvous.waitForLooks(environment)
    for device in devices { await device.socket.stop() }
  }

  /// Goes offline with all devices, or stays and says something.
  private func stayOrGo(_ client: ChatClient, _ environment: Environment) async throws {
    let stays = stream.chance(0.6)
    for device in devices where device.socket.session.map(endedSessions.contains) ?? true {
      await device.socket.hangUp(silently: false)
      device.socket.session = try await client.login()
    }
    for (index, device) in devices.enumerated() {
      device.socket.isWanted = stays && (index == 0 || device.isConnected)
      if !device.socket.isWanted { await device.socket.hangUp(silently: stream.chance(0.5)) }
      device.socket.start()
    }
    history.isOnlineAtEnd[account.id] = stays
    if stays {
      while !devices[0].isConnected {
        state.lastSeen = "waits for a socket"
        if devices[0].socket.session == nil { devices[0].socket.session = try await client.login() }
        try await environment.clock.sleep(for: .milliseconds(100))
      }
      if let peer = knownPeer() { try await outbox.send(to: .between(account.id, peer), environment) }
    }
    rest(client)
  }
}
