import Environment
import Simulation
import System

/// A client of the User Service that notes each request and its answer in the history.
final class AccountClient {
  private let user: UserState
  private let history: AccountHistory
  private let environment: Environment
  /// A client of each node of the service.
  private let clients: [HTTPClient]
  /// The number of the last request in the history.
  private(set) var lastOperation: Int?

  init(_ user: UserState, _ history: AccountHistory, _ environment: Environment) {
    self.user = user
    self.history = history
    self.environment = environment
    clients = user.behavior.usersNodes.map {
      HTTPClient(environment, address: SocketAddress(host: $0, port: Scenario.usersAddress.port))
    }
  }

  func close() { for client in clients { client.close() } }

  /// Sends a request, and sends it again if no answer comes or the service could not handle it.
  /// Real clients do that, and it is the source of double effects.
  func sendPersistently(_ request: Request) async throws -> Answer {
    var answer = try await send(request)
    var attempts = 1
    while answer.isUnknown || answer.status == 408, attempts < 3 {
      user.tally.count(.retries)
      try await user.pause(mean: .milliseconds(500), environment)
      answer = try await send(request)
      attempts += 1
    }
    return answer
  }

  /// Sends a request until the service answers it.
  func sendUntilAnswered(_ request: Request) async throws -> Answer {
    while true {
      let answer = try await send(request)
      if !answer.isUnknown, !answer.isTurnedAway { return answer }
      user.isThrottled = answer.status == 429
      try await environment.clock.sleep(for: answer.status == 429 ? .seconds(60) : .seconds(1))
    }
  }

  /// Sends a request once.
  func send(_ request: Request) async throws -> Answer {
    let id = history.begin(user.name, request)
    user.tally.count(.requests)
    let call = user.log.begin(
      user.name, at: Scenario.usersNode, request.line, request.body ?? .null, token: request.bearer)
    let answer = try await exchange(request, call)
    history.end(id, answer)
    count(answer)
    lastOperation = id
    return answer
  }

  private func exchange(_ request: Request, _ call: Int) async throws -> Answer {
    let (stream, behavior) = (user.circumstances, user.behavior)
    let bytes = request.bytes(host: Scenario.usersAddress)
    // As a load balancer would pick a node.
    let client = clients.count == 1 ? clients[0] : stream.pick(clients)
    do {
      if stream.chance(behavior.cutOff) {
        user.tally.count(.cutOffs)
        try await hangUp(bytes, client)
        return .none
      }
      var pieces: [(count: Int, pause: Duration)] = []
      if stream.chance(behavior.slow) {
        user.tally.count(.slowRequests)
        let size = stream.pick([1, 1, 7, 40])
        pieces = Array(repeating: (size, behavior.slowPause), count: bytes.count / size)
      }
      let response = try await client.send(bytes, pieces: pieces, timeout: behavior.patience)
      user.log.end(call, response)
      return Answer(response, to: request)
    } catch let error as NetworkError {
      if error == .refused { user.tally.count(.refused) }
      return .none
    } catch is HTTPError {
      return .none
    }
  }

  /// Sends a request and closes the connection before the answer comes.
  private func hangUp(_ bytes: [UInt8], _ client: HTTPClient) async throws {
    let patience = user.circumstances.duration(.zero...(.milliseconds(8)))
    do {
      _ = try await client.send(bytes, timeout: patience)
    } catch NetworkError.timedOut {
      return
    }
    client.abandon()
  }

  private func count(_ answer: Answer) {
    switch answer.status {
    case nil: user.tally.count(.unanswered)
    case let status? where status < 300: user.tally.count(.successes)
    case 400: user.tally.count(.conflicts)
    case 401: user.tally.count(.unauthorized)
    case 408: user.tally.count(.requestTimeouts)
    case 429: user.tally.count(.throttled)
    case 503: user.tally.count(.unavailable)
    default: break
    }
  }
}
