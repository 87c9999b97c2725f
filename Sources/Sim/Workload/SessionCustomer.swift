import Environment
import System

/// A simulated customer: asks for a session, talks, listens, asks for more users, ends it, and begins again.
final class SessionCustomer: Resident<SessionHistory, SessionCommons, SessionAction>, Inhabitant, @unchecked Sendable {
  private var token = ""
  /// Requests for another user that were shown this token and never answered: held up, they may still be done.
  private var unsure = 0
  private var current: Int?
  private var said = 0
  private var email: String { "\(name)@example.com" }
  private static let password = "correct horse"

  func live(_ environment: Environment) async throws {
    let beginning = environment.clock.now
    try await register(environment)
    let client = HTTPClient(environment, address: Scenario.customersAddress)
    try await begin(client, environment)
    while let action = try await agenda.next(since: beginning, stream, tally, environment) {
      switch action {
      case .say, .disconnect, .vanish, .leave, .depart: try await say(client, environment)
      case .read: try await follow(client, environment)
      case .moreUsers:
        let answer = try await ask("ADDITIONAL_USERS", ["USER_COUNT": 1], client, environment)
        // Without an answer, or with a 5xx, it may have been done.
        guard let current, answer == nil || answer!.status == 200 || answer!.status >= 500 else { continue }
        let wanted = history.runs[current].wanted
        let isSure = answer?.status == 200
        if !isSure { unsure += 1 }
        history.runs[current].wanted = wanted.lowerBound + (isSure ? 1 : 0)...wanted.upperBound + 1
      case .endSession:
        try await finish(client, environment)
        try await begin(client, environment)
      case .raceForSession:
        try await finish(client, environment)
        try await race(client, environment)
        try await begin(client, environment)
      }
    }
    try await say(client, environment)
    commons.settled += 1
    lastSeen = "waits for everything to come to rest"
    while commons.settled < commons.people { try await environment.clock.sleep(for: .seconds(1)) }
    try await comeToRest(environment)
    try await read(client, environment, isFinal: true)
    commons.looked += 1
    isServed = true
  }

  // MARK: Asking

  private func send(
    _ method: String, _ path: String, _ body: JSONValue, _ client: HTTPClient, _ environment: Environment
  ) async throws -> (status: Int, body: JSONValue)? {
    tally.count(.requests)
    do {
      let response = try await client.send(method, path, json: body, timeout: behavior.patience)
      lastSeen = "\(method) \(path): \(response.status)"
      return (response.status, (try? JSONParser.parse(response.body)) ?? .null)
    } catch is NetworkError {
      lastSeen = "\(method) \(path): no answer"
      return nil
    } catch is HTTPError {
      return nil
    }
  }

  private func pause(_ environment: Environment) async throws {
    try await environment.clock.sleep(for: stream.exponential(mean: .milliseconds(700)))
  }

  private func register(_ environment: Environment) async throws {
    let client = HTTPClient(environment, address: Scenario.usersAddress)
    let body: JSONValue = [
      "email": .string(email), "username": .string(name), "password": .string(Self.password),
    ]
    // 400: an attempt without an answer did it.
    while true {
      if let (status, _) = try await send("POST", "/register", body, client, environment), status < 500 { break }
      try await pause(environment)
    }
    client.close()
  }

  private var request: JSONValue {
    [
      "EMAIL": .string(email), "PASSWORD": .string(Self.password), "PERSONA_TYPE": "CUSTOMERS",
      "DATA": ["USER_COUNT": .int(Int64(behavior.users))],
    ]
  }

  /// Asks for a session and begins it, until it runs.
  private func begin(_ client: HTTPClient, _ environment: Environment) async throws {
    let interval = history.begin()
    while true {
      if let (status, body) = try await send("POST", "/requestSessionCreation", request, client, environment) {
        if status == 200 { take(body["SESSION_TOKEN"]?.string) }
        // Already running: an attempt without an answer was accepted, and its token is not known. It lapses.
        if status == 200 || status == 400 { break }
      }
      try await pause(environment)
    }
    while true {
      let answer = try await send(
        "POST", "/initializeSession", ["EMAIL": .string(email)], client, environment)
      if answer?.status == 200 || answer?.status == 404 { break }
      try await pause(environment)
    }
    var run = CustomerRun(person: name, email: email, interval: interval)
    run.wanted = behavior.users...behavior.users + unsure
    history.end(&run.interval)
    history.runs.append(run)
    current = history.runs.count - 1
    tally.count(.sessionsServed)
  }

  private func take(_ token: String?) {
    self.token = token ?? ""
    unsure = 0
  }

  private func ask(
    _ what: String, _ data: JSONValue, _ client: HTTPClient, _ environment: Environment
  ) async throws -> (status: Int, body: JSONValue)? {
    let body: JSONValue = [
      "EMAIL": .string(email), "SESSION_TOKEN": .string(token), "REQUEST": .string(what), "DATA": data,
    ]
    return try await send("PUT", "/handleSessionRequests", body, client, environment)
  }

  private func say(_ client: HTTPClient, _ environment: Environment) async throws {
    guard let current else { return }
    said += 1
    let text = "\(name)/\(said)"
    let index = history.sayings.count
    history.sayings.append(
      Saying(person: name, from: "CUSTOMER", text: text, line: current, interval: history.begin()))
    let answer = try await ask("SEND_MESSAGE", ["MESSAGE": .string(text)], client, environment)
    history.sayings[index].isAccepted = answer?.status == 200
    history.end(&history.sayings[index].interval)
    if answer?.status == 200 { tally.count(.messagesStored) }
  }

  /// Asks for what is new, as an application does from time to time.
  private func follow(_ client: HTTPClient, _ environment: Environment) async throws {
    guard let current else { return }
    let after = history.runs[current].followed.last?.sequence ?? 0
    guard let (status, body) = try await ask("GET_MESSAGES", ["AFTER": .int(after)], client, environment),
      status == 200, let page = body["MESSAGES"]?.array
    else { return }
    tally.count(.readings)
    history.runs[current].followed += page.compactMap { TranscriptEntry($0) }
  }

  private func read(_ client: HTTPClient, _ environment: Environment, isFinal: Bool) async throws {
    guard let current else { return }
    var entries: [TranscriptEntry] = []
    while true {
      let after = entries.last?.sequence ?? 0
      guard let (status, body) = try await ask("GET_MESSAGES", ["AFTER": .int(after)], client, environment) else {
        if !isFinal { return }
        try await pause(environment)
        continue
      }
      if status >= 500 {
        try await pause(environment)
        continue
      }
      guard status == 200, let page = body["MESSAGES"]?.array else { return }
      entries += page.compactMap { TranscriptEntry($0) }
      // A page is bounded in bytes as well, so only an empty one is the end.
      if page.isEmpty { break }
    }
    history.runs[current].transcript = entries
    history.runs[current].isFinal = isFinal
  }

  private func finish(_ client: HTTPClient, _ environment: Environment) async throws {
    guard let current else { return }
    history.runs[current].isEnding = true
    while true {
      let answer = try await ask("END_SESSION", .object([]), client, environment)
      // 404: an attempt without an answer did it. 401: the token is of another request.
      if let answer, answer.status < 500 { break }
      try await pause(environment)
    }
    self.current = nil
  }

  /// Two ask for the same email at the same time: at most one is accepted.
  private func race(_ client: HTTPClient, _ environment: Environment) async throws {
    let other = HTTPClient(environment, address: Scenario.customersAddress)
    tally.count(.sessionRaces)
    var interval = history.begin()
    async let first = send("POST", "/requestSessionCreation", request, other, environment)
    let second = try await send("POST", "/requestSessionCreation", request, client, environment)
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
