import Environment

/// The services of which the operators' page shows and changes something.
///
/// A service may start after the manager, so its address is asked for when it is needed; nil means
/// that it is not known.
public struct PageServices: Sendable {
  /// The address of the User Service.
  public var users: @Sendable () -> SocketAddress?
  /// The address of the Chat Service, which knows the names of users.
  public var chat: @Sendable () -> SocketAddress?

  /// Makes the services.
  public init(
    users: @escaping @Sendable () -> SocketAddress?, chat: @escaping @Sendable () -> SocketAddress?
  ) {
    self.users = users
    self.chat = chat
  }
}

/// What an operator does on the manager's page beside the manager's own state: queues, over AMQP as
/// commands do it, and accounts, which the User Service changes.
struct OperatorDesk: Sendable {
  /// The dead letters that are shown at once.
  static let shownLetters = 50
  /// Time for the broker and the User Service to answer.
  private static let patience: Duration = .seconds(5)

  let environment: Environment
  let broker: BrokerAddress
  let services: PageServices?
  let serviceToken: String?

  // MARK: Queues

  func purge(_ queue: String, isTrial: Bool) async throws -> JSONValue {
    let count = try await onQueues { try await $0.purge(queue, isTrial: isTrial) }
    return ["STATUS": "SUCCESS", "MESSAGES": .int(Int64(count)), "DRY_RUN": .bool(isTrial)]
  }

  func deadLetters() async throws -> JSONValue {
    let found = try await onQueues { try await $0.deadLetters(limit: Self.shownLetters) }
    return [
      "STATUS": "SUCCESS", "LETTERS": .array(found.letters.map(\.json)),
      "MORE": .int(Int64(found.count - found.letters.count)),
    ]
  }

  func treat(
    _ treatment: QueueOperator.Treatment, from queue: String?, limit: Int, isTrial: Bool
  ) async throws -> JSONValue {
    let outcomes = try await onQueues {
      try await $0.treat(treatment, from: queue, limit: limit, isTrial: isTrial).map { ($0.outcome, $0.letters) }
    }
    return [
      "STATUS": "SUCCESS",
      "OUTCOMES": .array(
        outcomes.map {
          ["QUEUE": .string($0.0.queue), "RESULT": .string($0.0.result.text), "MESSAGES": .int(Int64($0.1))]
        }), "DRY_RUN": .bool(isTrial),
    ]
  }

  private func onQueues<R: Sendable>(_ body: @Sendable (QueueOperator) async throws -> R) async throws -> R {
    do {
      return try await QueueOperator.connected(environment, broker: broker, patience: Self.patience, body)
    } catch let error as AMQPError where error.code == 404 {
      throw HTTPFailure(404, error.reason)
    } catch let error as AMQPError {
      throw HTTPFailure(503, "the broker refuses it: \(error.reason)")
    } catch is AMQPFramingError {
      throw HTTPFailure(400, "QUEUE: a name has at most 255 bytes")
    } catch is NetworkError {
      throw HTTPFailure(503, "the broker does not answer")
    }
  }

  // MARK: Accounts

  /// Sends an operator's request to the User Service with the token that the operator showed: the
  /// manager lends nobody its own rights.
  func changeAccount(_ verb: String, _ call: Call) async throws -> JSONValue {
    guard let address = services?.users() else {
      throw HTTPFailure(404, "the manager does not know the User Service: set --users-url")
    }
    // Without a token the caller has shown the certificate of a service.
    let token = call.bearerToken ?? serviceToken
    let client = HTTPClient(environment, address: address)
    defer { client.close() }
    let response: HTTPResponse
    do {
      response = try await client.send(
        "POST", "/operator/users/\(verb)", fields: token.map { [("authorization", "Bearer \($0)")] } ?? [],
        json: call.body, timeout: Self.patience)
    } catch is NetworkError {
      throw HTTPFailure(503, "the User Service does not answer")
    } catch is HTTPError {
      throw HTTPFailure(503, "the User Service does not answer")
    }
    let body = (try? JSONParser.parse(response.body)) ?? .null
    let detail = body["detail"]?.string ?? "the User Service answers \(response.status)"
    switch response.status {
    case 200: return body
    case 400, 404: throw HTTPFailure(response.status, detail)
    case 401, 403: throw HTTPFailure(403, "the User Service runs elsewhere, and needs the service token")
    default: throw HTTPFailure(503, detail)
    }
  }
}

extension QueueOperator.Outcome.Result {
  /// The result in words.
  public var text: String {
    switch self {
    case .replayed: "replayed"
    case .dropped: "dropped"
    case .kept(let reason): "kept: \(reason)"
    }
  }
}
