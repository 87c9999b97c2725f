import Environment

/// The names of users for the operators' page, as the Chat Service knows them.
actor UserNames {
  /// The most users whose names are shown.
  static let maximum = 500
  /// The time for which names are kept.
  private static let lifetime: Duration = .seconds(60)
  /// The time without questions after one that failed.
  private static let pause: Duration = .seconds(5)
  private static let timeout: Duration = .seconds(1)

  private let environment: Environment
  private let services: PageServices
  private let serviceToken: String?
  private let serialExecutor: ActorExecutor
  private var known: [Int64: JSONValue] = [:]
  private var began: Instant
  private var asksAgain: Instant

  nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  init(_ environment: Environment, _ services: PageServices, serviceToken: String?) {
    self.environment = environment
    self.services = services
    self.serviceToken = serviceToken
    began = environment.clock.now
    asksAgain = environment.clock.now
    serialExecutor = environment.executor.forActor("user-names")
  }

  /// Returns the names of users that have some, in order. Without an answer of the Chat Service,
  /// those that are known.
  func names(of users: [Int64]) async -> JSONValue {
    let now = environment.clock.now
    if now - began > Self.lifetime { (known, began) = ([:], now) }
    let users = users.prefix(Self.maximum)
    let unknown = users.filter { known[$0] == nil }
    if !unknown.isEmpty, now >= asksAgain {
      // Also bounds how often users without a name are asked for.
      asksAgain = now + .seconds(1)
      if await !ask(Array(unknown)) { asksAgain = environment.clock.now + Self.pause }
    }
    return .array(users.compactMap { known[$0] })
  }

  /// Asks for names. Returns false if the Chat Service does not answer.
  private func ask(_ users: [Int64]) async -> Bool {
    guard let address = services.chat() else { return false }
    let client = HTTPClient(environment, address: address)
    defer { client.close() }
    let response = try? await client.send(
      "POST", "/services/users", fields: serviceToken.map { [("authorization", "Bearer \($0)")] } ?? [],
      json: ["user_ids": .array(users.map { .int($0) })], timeout: Self.timeout)
    guard let response, response.status == 200, let body = try? JSONParser.parse(response.body),
      let found = body["users"]?.array
    else { return false }
    for user in found {
      guard let id = user["user_id"]?.int else { continue }
      known[id] = [
        "USER_ID": .int(id), "NAME": user["username"] ?? "", "ACCOUNT_ID": user["account_id"] ?? "",
      ]
    }
    return true
  }
}
