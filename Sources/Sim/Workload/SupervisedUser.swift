import Environment
import System

/// A user of the User Server, which a supervisor assigns to sessions.
final class SupervisedUser: SimulatedUser, SocketOwner {
  let state: UserState
  private(set) var userID: Int64 = 0
  private let history: SessionHistory
  private let rendezvous: Rendezvous
  private var agenda: Agenda<SupervisedUserAction>
  private var socket: ReconnectingSocket!
  private var said = 0
  /// Whether the user has left for good.
  private var isGone = false
  /// Whether the user counts as one that has looked at the result.
  private var hasLooked = false

  private static let mostAttempts = 30

  init(
    _ state: UserState, history: SessionHistory, rendezvous: Rendezvous, agenda: Agenda<SupervisedUserAction>
  ) {
    self.state = state
    self.history = history
    self.rendezvous = rendezvous
    self.agenda = agenda
    rendezvous.users += 1
  }

  func live(_ environment: Environment) async throws {
    let begin = environment.clock.now
    socket = ReconnectingSocket(
      of: self, state,
      .init(
        namespace: "/users", pause: .milliseconds(600), opening: [.connectTwice, .speakEarly],
        connected: RudeStep.onOneSocket, closing: []), history: history, rendezvous: rendezvous, environment)
    socket.session = try await logIn(environment)
    socket.start()
    while !isGone, let action = try await agenda.next(since: begin, environment) {
      try await act(action, environment)
    }
    while !socket.isConnected, !isGone {
      state.lastSeen = "waits for a socket"
      try await environment.clock.sleep(for: .milliseconds(200))
    }
    if isGone {
      try await rendezvous.comeToRest(state.behavior.rest, now: history.time, environment)
    } else {
      try await say(environment)
    }
    rendezvous.settle()
    state.lastSeen = "waits for the others"
    // The socket stays open until everybody has looked.
    while !rendezvous.haveAllLooked || !rendezvous.isOverviewRead {
      if rendezvous.areAllSettled, !hasLooked {
        hasLooked = true
        rendezvous.look()
      }
      try await environment.clock.sleep(for: .seconds(1))
    }
    state.isServed = true
    await socket.stop()
  }

  private func act(_ action: SupervisedUserAction, _ environment: Environment) async throws {
    switch action {
    case .say: try await say(environment)
    case .disconnect: await socket.hangUp(silently: false)
    case .vanish: await socket.hangUp(silently: true)
    case .leave:
      socket.isWanted = false
      await socket.hangUp(silently: state.stream.chance(0.5))
      try await state.pause(mean: .seconds(3), environment)
      socket.isWanted = true
    case .depart:
      (socket.isWanted, isGone) = (false, true)
      state.tally.count(.departures)
      history.departed.append((name, userID))
      await socket.hangUp(silently: state.stream.chance(0.5))
    }
  }

  /// Registers and logs in, until that has worked. Returns the session.
  private func logIn(_ environment: Environment) async throws -> String {
    let http = HTTPClient(environment, address: Scenario.chatAddress)
    let body: JSONValue = ["username": .string(name), "password": "correct horse"]
    while true {
      do {
        _ = try await send("/register", body, http)
        let (status, answer) = try await send("/login", body, http)
        if status == 200, let id = answer["user_id"]?.int, let session = answer["sessionID"]?.string {
          userID = id
          return session
        }
      } catch is NetworkError {
        state.lastSeen = "no answer"
      } catch is HTTPError {
        state.lastSeen = "no answer"
      }
      try await state.pause(mean: .milliseconds(500), environment)
    }
  }

  private func send(_ path: String, _ body: JSONValue, _ http: HTTPClient) async throws -> (Int, JSONValue) {
    let call = state.log.begin(name, at: Scenario.chatNode, "POST \(path)", body)
    let response = try await http.send("POST", path, json: body, timeout: .seconds(10))
    state.log.end(call, response)
    state.lastSeen = "\(path): \(response.status)"
    return (response.status, state.log.calls[call].answer)
  }

  // MARK: Events of the socket

  func socketConnected(_ attempt: ReconnectingSocket.Attempt) async -> ReconnectingSocket.Admission {
    // The user may have left while the socket was being opened.
    if isGone {
      await socket.hangUp(silently: true)
      return .ends
    }
    state.tally.count(.sockets)
    history.sockets.append(
      UserSocketRecord(person: name, user: userID, connected: history.next(), connectedAt: history.time))
    return .stays(record: history.sockets.count - 1)
  }

  func socketReceived(_ event: String, _ data: JSONValue, record: Int?) {
    guard event == "session_message" else { return }
    state.tally.count(.messagesHeard)
    if let record, let entry = TranscriptEntry(data) { history.sockets[record].heard.append((history.time, entry)) }
  }

  func socketRefused(_ message: String?, _ attempt: ReconnectingSocket.Attempt) {
    if let message { state.lastSeen = "refused: \(message)" }
  }

  func socketEnded(record: Int) { history.sockets[record].ended = history.next() }

  // MARK: Messages

  /// Sends a message, again and again until it is acknowledged. No other one is sent before.
  private func say(_ environment: Environment) async throws {
    guard let line = socket.record else { return }
    said += 1
    let text = "\(name)/\(said)"
    let index = history.sayings.count
    history.sayings.append(
      Saying(person: name, from: .int(userID), text: text, line: line, interval: history.begin()))
    for _ in 0..<Self.mostAttempts {
      let answer = try await attempt(text)
      if answer?["status"] == "ok" {
        history.sayings[index].isAccepted = true
        state.tally.count(.messagesStored)
        break
      }
      state.tally.count(.resends)
      try await state.pause(mean: .milliseconds(700), environment)
    }
    history.end(&history.sayings[index].interval)
    state.lastSeen = "said \(text): \(history.sayings[index].isAccepted)"
  }

  private func attempt(_ text: String) async throws -> JSONValue? {
    guard socket.isConnected else { return nil }
    state.tally.count(.messages)
    return try await socket.call(
      "user_message", ["MESSAGE": .string(text), "client_id": .string(text)], patience: state.behavior.patience)
  }
}
