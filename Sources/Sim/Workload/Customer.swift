import Environment
import System

/// A customer: it requests a supervised session, talks to its users, requests more of them, ends
/// the session, and begins again.
final class Customer: SimulatedUser {
  let state: UserState
  private let history: SessionHistory
  private let rendezvous: Rendezvous
  private var agenda: Agenda<CustomerAction>
  /// The token of the current session.
  private var token = ""
  /// Requests for another user with this token that were never answered. Delayed, they may still
  /// take effect.
  private var unsure = 0
  /// The index of the current session in the history.
  private var current: Int?
  private var said = 0
  private var email: String { "\(name)@example.com" }
  private static let password = "correct horse"

  private var tally: Tally { state.tally }
  private var behavior: UserGroup { state.behavior }

  init(_ state: UserState, history: SessionHistory, rendezvous: Rendezvous, agenda: Agenda<CustomerAction>) {
    self.state = state
    self.history = history
    self.rendezvous = rendezvous
    self.agenda = agenda
    rendezvous.users += 1
  }

  func live(_ environment: Environment) async throws {
    let beginning = environment.clock.now
    try await register(environment)
    let client = HTTPClient(environment, address: Scenario.customersAddress)
    try await begin(client, environment)
    while let action = try await agenda.next(since: beginning, environment) {
      switch action {
      case .say: try await say(client)
      case .read: try await follow(client)
      case .moreUsers: try await requestUser(client)
      case .endSession:
        try await finish(client, environment)
        try await begin(client, environment)
      case .raceForSession:
        try await finish(client, environment)
        try await race(client, environment)
        try await begin(client, environment)
      }
    }
    try await insist(client, environment)
    rendezvous.settle()
    state.lastSeen = "waits for the end of the run"
    try await rendezvous.waitForAll(environment)
    try await rendezvous.comeToRest(behavior.rest, now: history.time, environment)
    try await readToTheEnd(client, environment)
    rendezvous.look()
    state.isServed = true
  }

  // MARK: Requests

  private func send(
    _ method: String, _ path: String, _ body: JSONValue, _ client: HTTPClient, at node: String = Scenario.customersNode
  ) async throws -> (status: Int, body: JSONValue)? {
    tally.count(.requests)
    let call = state.log.begin(name, at: node, "\(method) \(path)", body)
    do {
      let response = try await client.send(method, path, json: body, timeout: behavior.patience)
      state.log.end(call, response)
      state.lastSeen = "\(method) \(path): \(response.status)"
      return (response.status, state.log.calls[call].answer)
    } catch is NetworkError {
      state.lastSeen = "\(method) \(path): no answer"
      return nil
    } catch is HTTPError {
      return nil
    }
  }

  private func register(_ environment: Environment) async throws {
    let client = HTTPClient(environment, address: state.usersAddress)
    let body: JSONValue = [
      "email": .string(email), "username": .string(name), "password": .string(Self.password),
    ]
    // 400: an attempt without an answer has registered the name.
    while true {
      if let (status, _) = try await send("POST", "/register", body, client, at: Scenario.usersNode), status < 500 {
        break
      }
      try await state.pause(mean: .milliseconds(700), environment)
    }
    client.close()
  }

  private var request: JSONValue {
    [
      "EMAIL": .string(email), "PASSWORD": .string(Self.password), "PERSONA_TYPE": "CUSTOMERS",
      "DATA": ["USER_COUNT": .int(Int64(behavior.users))],
    ]
  }

  /// Requests a session and initializes it, until it runs.
  private func begin(_ client: HTTPClient, _ environment: Environment) async throws {
    let interval = history.begin()
    // Any refusal but that of a second session is asked about again: nobody gives up.
    while true {
      if let (status, body) = try await send("POST", "/requestSessionCreation", request, client) {
        // An attempt without an answer was accepted: the refusal names its token.
        let isKnown = status == 400 && body["MESSAGE"] == "SESSION_ALREADY_RUNNING"
        if status == 200 || isKnown {
          take(body["SESSION_TOKEN"]?.string)
          break
        }
      }
      try await state.pause(mean: .milliseconds(700), environment)
    }
    while true {
      let answer = try await send(
        "POST", "/initializeSession", ["EMAIL": .string(email)], client)
      // 404: an attempt without an answer has initialized it, or it has expired.
      if answer?.status == 200 || answer?.status == 404 { break }
      try await state.pause(mean: .milliseconds(700), environment)
    }
    var run = CustomerRun(person: name, email: email, interval: interval)
    run.wanted = behavior.users...behavior.users + unsure
    history.end(&run.interval)
    history.runs.append(run)
    current = history.runs.count - 1
    tally.count(.sessionsServed)
  }

  private func take(_ token: String?) {
    // The token stays the same while the session before has not ended.
    if token != self.token { unsure = 0 }
    self.token = token ?? ""
  }

  private func ask(
    _ what: String, _ data: JSONValue, _ client: HTTPClient
  ) async throws -> (status: Int, body: JSONValue)? {
    let body: JSONValue = [
      "EMAIL": .string(email), "SESSION_TOKEN": .string(token), "REQUEST": .string(what), "DATA": data,
    ]
    return try await send("PUT", "/handleSessionRequests", body, client)
  }

  /// Requests another user for the session.
  private func requestUser(_ client: HTTPClient) async throws {
    let answer = try await ask("ADDITIONAL_USERS", ["USER_COUNT": 1], client)
    // Without an answer, or with a 5xx, the request may have taken effect.
    guard let current, answer == nil || answer!.status == 200 || answer!.status >= 500 else { return }
    let wanted = history.runs[current].wanted
    let isSure = answer?.status == 200
    if !isSure { unsure += 1 }
    history.runs[current].wanted = wanted.lowerBound + (isSure ? 1 : 0)...wanted.upperBound + 1
  }

  /// Says something. Returns the status of the answer; nil without one.
  @discardableResult
  private func say(_ client: HTTPClient) async throws -> Int? {
    guard let current else { return nil }
    said += 1
    let text = "\(name)/\(said)"
    let index = history.sayings.count
    history.sayings.append(
      Saying(person: name, from: "CUSTOMER", text: text, line: current, interval: history.begin()))
    let answer = try await ask("SEND_MESSAGE", ["MESSAGE": .string(text)], client)
    history.sayings[index].isAccepted = answer?.status == 200
    history.end(&history.sayings[index].interval)
    if answer?.status == 200 { tally.count(.messagesStored) }
    return answer?.status
  }

  /// Says something until it is accepted. Begins a new session if the last one has ended. A
  /// customer who is refused for ever is not served.
  private func insist(_ client: HTTPClient, _ environment: Environment) async throws {
    while true {
      let status = try await say(client)
      if status == 200 { return }
      if status == 401 || status == 404 {
        if let current { history.runs[current].isEnding = true }
        try await begin(client, environment)
      } else {
        try await state.pause(mean: .milliseconds(700), environment)
      }
    }
  }

  /// Requests what is new in the transcript, as an application does from time to time.
  private func follow(_ client: HTTPClient) async throws {
    guard let current else { return }
    let after = history.runs[current].followed.last?.sequence ?? 0
    guard let (status, body) = try await ask("GET_MESSAGES", ["AFTER": .int(after)], client),
      status == 200, let page = body["MESSAGES"]?.array
    else { return }
    tally.count(.readings)
    history.runs[current].followed += page.compactMap { TranscriptEntry($0) }
  }

  /// Reads the whole transcript.
  private func readToTheEnd(_ client: HTTPClient, _ environment: Environment) async throws {
    guard let current else { return }
    var entries: [TranscriptEntry] = []
    while true {
      let after = entries.last?.sequence ?? 0
      guard let (status, body) = try await ask("GET_MESSAGES", ["AFTER": .int(after)], client) else {
        try await state.pause(mean: .milliseconds(700), environment)
        continue
      }
      if status >= 500 {
        try await state.pause(mean: .milliseconds(700), environment)
        continue
      }
      guard status == 200, let page = body["MESSAGES"]?.array else { return }
      entries += page.compactMap { TranscriptEntry($0) }
      // Pages are bounded in bytes too, so only an empty one is the last.
      if page.isEmpty { break }
    }
    history.runs[current].transcript = entries
    history.runs[current].isFinal = true
  }

  private func finish(_ client: HTTPClient, _ environment: Environment) async throws {
    guard let current else { return }
    history.runs[current].isEnding = true
    while true {
      let answer = try await ask("END_SESSION", .object([]), client)
      // 404: an attempt without an answer has ended it. 401: the token is of another request.
      if let answer, answer.status < 500 { break }
      try await state.pause(mean: .milliseconds(700), environment)
    }
    self.current = nil
  }

  /// Sends two requests for the same email at once. At most one is accepted.
  private func race(_ client: HTTPClient, _ environment: Environment) async throws {
    let other = HTTPClient(environment, address: Scenario.customersAddress)
    tally.count(.sessionRaces)
    var interval = history.begin()
    let (customer, connection) = (Confined(self), Confined(other))
    async let first = customer.value.send(
      "POST", "/requestSessionCreation", customer.value.request, connection.value)
    let second = try await send("POST", "/requestSessionCreation", request, client)
    let answers = [try await first, second]
    other.close()
    history.end(&interval)
    let accepted = answers.compactMap { $0 }.filter { $0.status == 200 }
    if let winner = accepted.first {
      take(winner.body["SESSION_TOKEN"]?.string)
      var run = CustomerRun(person: name, email: email, interval: interval)
      run.acceptances = accepted.count
      run.isEnding = true
      history.runs.append(run)
    }
  }
}
