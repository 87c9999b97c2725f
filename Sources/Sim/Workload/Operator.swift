import Environment
import System

/// Reads the manager's overview when everything has come to rest and all users are still there.
final class Operator: SimulatedUser {
  let state: UserState
  private let history: SessionHistory
  private let rendezvous: Rendezvous
  private let manager: SocketAddress
  /// The service token; nil if the manager wants none.
  private let token: String?

  init(
    _ state: UserState, history: SessionHistory, rendezvous: Rendezvous, manager: SocketAddress, token: String?
  ) {
    self.state = state
    self.history = history
    self.manager = manager
    self.token = token
    self.rendezvous = rendezvous
    rendezvous.isOverviewRead = false
  }

  func live(_ environment: Environment) async throws {
    try await rendezvous.waitForLooks(environment)
    // By then the manager knows the last user that has connected.
    let known = (history.sockets.map(\.connectedAt).max() ?? 0) + history.news.nanoseconds
    try await environment.clock.sleep(for: .nanoseconds(max(0, known - history.time)))
    history.overviewAskedAt = history.time
    let client = HTTPClient(environment, address: manager)
    let fields = token.map { [(name: "authorization", value: "Bearer " + $0)] } ?? []
    while history.overview == nil {
      do {
        let response = try await client.send("GET", "/overview", fields: fields, timeout: .seconds(10))
        state.lastSeen = "GET /overview: \(response.status)"
        if response.status == 200 { history.overview = try? JSONParser.parse(response.body) }
      } catch is NetworkError {
        state.lastSeen = "no answer"
      } catch is HTTPError {
        state.lastSeen = "no answer"
      }
      if history.overview == nil { try await environment.clock.sleep(for: .milliseconds(500)) }
    }
    history.overviewAt = history.next()
    while history.poison > 0, history.letterIDs == nil {
      do { history.letterIDs = try await letterIDs(environment) } catch is NetworkError {} catch is AMQPError {}
      if history.letterIDs == nil { try await environment.clock.sleep(for: .milliseconds(500)) }
    }
    rendezvous.isOverviewRead = true
    state.isServed = true
  }

  /// Reads the message ids of all dead letters, which stay.
  private func letterIDs(_ environment: Environment) async throws -> Set<String> {
    var found: Set<String> = []
    try await QueueOperator.connected(environment, broker: Scenario.broker) { queues in
      queues.onLetter = { letter in
        if let id = letter.messageID?.text { found.insert(id) }
      }
      _ = try await queues.treat(.drop, from: nil, limit: .max, isTrial: true)
    }
    return found
  }
}
