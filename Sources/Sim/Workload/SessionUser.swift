import Environment
import System

/// A simulated user of the User Server: a socket in `/users`, over which they talk to whoever they are given to.
final class SessionUser: Resident<SessionHistory, SessionCommons, SessionAction>, Inhabitant, @unchecked Sendable {
  private var user: Int64 = 0
  private var client: SocketIOClient?
  private var isPolling = false
  private var socket: Int?
  private var wants = true
  private var said = 0
  private let calls = PendingCalls()

  func live(_ environment: Environment) async throws {
    let begin = environment.clock.now
    let session = try await logIn(environment)
    environment.executor.spawn("socket") { await self.keepSocket(session, environment) }
    while !isGone, let action = try await agenda.next(since: begin, stream, tally, environment) {
      switch action {
      case .say: try await say(environment)
      case .disconnect: await hangUp(silently: false)
      case .vanish: await hangUp(silently: true)
      case .leave:
        wants = false
        await hangUp(silently: stream.chance(0.5))
        try await environment.clock.sleep(for: stream.exponential(mean: .seconds(3)))
        wants = true
      case .depart:
        (wants, isGone) = (false, true)
        tally.count(.departures)
        history.departed.append((name, user))
        await hangUp(silently: stream.chance(0.5))
      case .read, .endSession, .moreUsers, .raceForSession: continue
      }
    }
    while socket == nil, !isGone {
      lastSeen = "waits for a socket"
      try await environment.clock.sleep(for: .milliseconds(200))
    }
    if isGone {
      try await comeToRest(environment)
    } else {
      try await say(environment)
    }
    commons.settled += 1
    lastSeen = "waits for the others"
    while commons.looked < commons.people || !commons.isSeen {
      if commons.settled == commons.people, !isCounted {
        isCounted = true
        commons.looked += 1
      }
      try await environment.clock.sleep(for: .seconds(1))
    }
    isServed = true
    wants = false
    isOver = true
    await hangUp(silently: false)
  }

  private var isCounted = false
  private var isOver = false
  private var isGone = false

  /// Registers and logs in, until that has worked.
  private func logIn(_ environment: Environment) async throws -> String {
    let http = HTTPClient(environment, address: Scenario.chatAddress)
    let body: JSONValue = ["username": .string(name), "password": "correct horse"]
    while true {
      do {
        let registered = try await http.send("POST", "/register", json: body, timeout: .seconds(10))
        lastSeen = "register: \(registered.status)"
        let answer = try await http.send("POST", "/login", json: body, timeout: .seconds(10))
        lastSeen = "login: \(answer.status)"
        if answer.status == 200, let json = try? JSONParser.parse(answer.body), let id = json["user_id"]?.int,
          let session = json["sessionID"]?.string
        {
          user = id
          return session
        }
      } catch is NetworkError {
        lastSeen = "no answer"
      } catch is HTTPError {
        lastSeen = "no answer"
      }
      try await environment.clock.sleep(for: stream.exponential(mean: .milliseconds(500)))
    }
  }

  // MARK: The socket

  private func keepSocket(_ session: String, _ environment: Environment) async {
    while !isOver {
      if wants { await connect(session, environment) }
      let pause: Duration = stream.chance(0.3) ? .milliseconds(1) : stream.exponential(mean: .milliseconds(600))
      do { try await environment.clock.sleep(for: pause) } catch { return }
    }
  }

  private func connect(_ session: String, _ environment: Environment) async {
    let transport = stream.pick(behavior.transports)
    let client = SocketIOClient(environment, address: Scenario.chatAddress, transport: transport)
    self.client = client
    isPolling = transport != .webSocket
    do {
      let auth: JSONValue = ["sessionID": .string(session)]
      try await client.connect(namespace: "/users", auth: auth)
      if let rudeness = Rudeness.drawn(from: [.connectTwice, .speakEarly], behavior, stream) {
        tally.count(.rudeSteps)
        try await rudeness.act(client, "/users", auth)
      }
      while true {
        switch try await client.receive() {
        case .connected:
          // Hanging up may have come too early for a socket that was still being opened.
          if isGone {
            await hangUp(silently: true)
            throw NetworkError.closed
          }
          tally.count(.sockets)
          history.sockets.append(
            UserSocket(person: name, user: user, connected: history.next(), connectedAt: history.time))
          socket = history.sockets.count - 1
          if let rudeness = Rudeness.drawn(from: Rudeness.onOneSocket, behavior, stream) {
            tally.count(.rudeSteps)
            try await rudeness.act(client, "/users", auth)
          }
        case .event(_, "session_message", let payload):
          tally.count(.messagesHeard)
          if let socket, let entry = payload.arguments.first.flatMap({ TranscriptEntry($0) }) {
            history.sockets[socket].heard.append((history.time, entry))
          }
        case .acknowledged(_, let id, let payload):
          calls.answer(id, payload.arguments.first ?? .null)
        case .refused(_, Rudeness.refusal): break
        case .refused(_, let message):
          lastSeen = "refused: \(message)"
          throw NetworkError.closed
        case .disconnected: throw NetworkError.closed
        case .event: break
        }
      }
    } catch {
      // The socket has ended: another one follows.
    }
    if let socket { history.sockets[socket].ended = history.next() }
    socket = nil
    calls.endAll()
    await client.abandon()
  }

  private func hangUp(silently: Bool) async {
    guard let client else { return }
    // Who has no socket yet cannot say that there is to be none; the end of a connection is seen in any case.
    if socket == nil || silently && isPolling { commons.notice(within: behavior.missing, from: history.time) }
    if silently { await client.abandon() } else { await client.close() }
  }

  // MARK: Talking

  /// Says something, again and again until it is answered: nothing else is said before.
  private func say(_ environment: Environment) async throws {
    guard let line = socket else { return }
    said += 1
    let text = "\(name)/\(said)"
    let index = history.sayings.count
    history.sayings.append(
      Saying(person: name, from: .int(user), text: text, line: line, interval: history.begin()))
    for _ in 0..<30 {
      let answer = try await attempt(text, environment)
      if answer?["status"] == "ok" {
        history.sayings[index].isAccepted = true
        tally.count(.messagesStored)
        break
      }
      tally.count(.resends)
      try await environment.clock.sleep(for: stream.exponential(mean: .milliseconds(700)))
    }
    history.end(&history.sayings[index].interval)
    lastSeen = "said \(text): \(history.sayings[index].isAccepted)"
  }

  private func attempt(_ text: String, _ environment: Environment) async throws -> JSONValue? {
    guard let client, socket != nil else { return nil }
    tally.count(.messages)
    let id: Int64
    do {
      let data: JSONValue = ["MESSAGE": .string(text), "client_id": .string(text)]
      guard
        let number = try await client.emit(
          "user_message", SocketPayload([data]), namespace: "/users", acknowledged: true)
      else { return nil }
      id = number
    } catch is NodeDown {
      throw NodeDown()
    } catch {
      return nil
    }
    guard socket != nil, self.client === client else { return nil }
    return await calls.wait(for: id, patience: behavior.patience, environment)
  }
}
