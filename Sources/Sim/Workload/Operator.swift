import System

/// Looks at the manager once everything has come to rest and everybody is still there.
final class Operator: Inhabitant, @unchecked Sendable {
  let name = "operator"
  private let history: SessionHistory
  private let commons: SessionCommons
  /// What the manager wants to be shown over anything but loopback.
  private let token: String
  private(set) var isServed = false
  private(set) var lastSeen = "nothing yet"

  init(history: SessionHistory, commons: SessionCommons, token: String) {
    self.history = history
    self.token = token
    self.commons = commons
    commons.isSeen = false
  }

  func live(_ environment: Environment) async throws {
    while commons.looked < commons.people { try await environment.clock.sleep(for: .seconds(1)) }
    // Who has come last is to be known by then.
    let news = (history.sockets.map(\.connectedAt).max() ?? 0) + history.news.nanoseconds
    try await environment.clock.sleep(for: .nanoseconds(max(0, news - history.time)))
    history.overviewAskedAt = history.time
    let client = HTTPClient(environment, address: Scenario.managerAddress)
    let fields = [(name: "authorization", value: "Bearer " + token)]
    while history.overview == nil {
      do {
        let response = try await client.send("GET", "/overview", fields: fields, timeout: .seconds(10))
        lastSeen = "GET /overview: \(response.status)"
        if response.status == 200 { history.overview = try? JSONParser.parse(response.body) }
      } catch is NetworkError {
        lastSeen = "no answer"
      } catch is HTTPError {
        lastSeen = "no answer"
      }
      if history.overview == nil { try await environment.clock.sleep(for: .milliseconds(500)) }
    }
    history.overviewAt = history.next()
    commons.isSeen = true
    isServed = true
  }
}
