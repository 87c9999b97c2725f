import Environment
import System

/// Looks at the manager once everything has come to rest and everybody is still there.
final class Operator: Inhabitant, @unchecked Sendable {
  let name = "operator"
  private let history: SessionHistory
  private let commons: SessionCommons
  private let manager: SocketAddress
  /// What the manager wants to be shown, where one is configured.
  private let token: String?
  private(set) var isServed = false
  private(set) var lastSeen = "nothing yet"

  init(history: SessionHistory, commons: SessionCommons, manager: SocketAddress, token: String?) {
    self.history = history
    self.manager = manager
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
    let client = HTTPClient(environment, address: manager)
    let fields = token.map { [(name: "authorization", value: "Bearer " + $0)] } ?? []
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
