import Environment

/// HTTP requests to one server, any number of tasks at a time: connections are kept and used again.
public actor HTTPClientPool {
  /// Requests under way; further ones are refused, since each holds memory and a client that waits.
  static let maximumRequests = 1024
  /// A connection that was idle for longer is not used again: the server may be about to close it.
  static let idleLimit: Duration = .seconds(30)

  private let environment: Environment
  private let address: SocketAddress
  private let serialExecutor: ActorExecutor
  private var idle: [(client: HTTPClient, since: Instant)] = []
  private var requests = 0

  /// The executor that the environment gave to this actor.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  /// A pool for the server at `address`.
  public init(_ environment: Environment, address: SocketAddress) {
    self.environment = environment
    self.address = address
    serialExecutor = environment.executor.forActor("http-client-pool")
  }

  /// Sends a request and waits for the answer. It is not sent twice.
  /// - Throws: as `HTTPClient.send`; `NetworkError.exhausted` when too many are under way.
  public func send(
    _ method: String, _ target: String, fields: [(name: String, value: String)] = [], json: JSONValue? = nil,
    timeout: Duration
  ) async throws -> HTTPResponse {
    guard requests < Self.maximumRequests else { throw NetworkError.exhausted("too many requests to \(address)") }
    requests += 1
    defer { requests -= 1 }
    let client = take()
    do {
      let response = try await client.send(method, target, fields: fields, json: json, timeout: timeout)
      idle.append((client, environment.clock.now))
      return response
    } catch let error as NetworkError where error == .closed || error == .reset {
      // A server that died silently took the others with it: whoever asks again is not to find another dead one.
      close()
      throw error
    }
  }

  /// Sends a question, which changes nothing: where the server took the connection with it that was kept, it is asked again over a new one.
  /// - Throws: as `send`.
  public func ask(
    _ method: String, _ target: String, fields: [(name: String, value: String)] = [], json: JSONValue? = nil,
    timeout: Duration
  ) async throws -> HTTPResponse {
    do {
      return try await send(method, target, fields: fields, json: json, timeout: timeout)
    } catch let error as NetworkError where error == .closed || error == .reset {
      return try await send(method, target, fields: fields, json: json, timeout: timeout)
    }
  }

  private func take() -> HTTPClient {
    let now = environment.clock.now
    while let (client, since) = idle.popLast() {
      if now - since < Self.idleLimit, !client.hasEnded { return client }
      client.close()
    }
    return HTTPClient(environment, address: address)
  }

  /// Closes the connections that are idle.
  public func close() {
    for (client, _) in idle { client.close() }
    idle = []
  }
}
