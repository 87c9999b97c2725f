import Environment

/// A pool of connections to one HTTP server. Any number of tasks may send requests.
public actor HTTPClientPool {
  /// Requests in flight. Further requests are refused, since each holds memory and a waiting
  /// client.
  static let maximumRequests = 1024
  /// A connection that was idle for longer is not reused: the server may be about to close it.
  static let idleLimit: Duration = .seconds(30)

  private let environment: Environment
  private let address: SocketAddress
  private let serialExecutor: ActorExecutor
  private var idle: [(client: HTTPClient, since: Instant)] = []
  private var requests = 0

  /// The executor of the environment.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  /// Makes a pool for the server at `address`.
  public init(_ environment: Environment, address: SocketAddress) {
    self.environment = environment
    self.address = address
    serialExecutor = environment.executor.forActor("http-client-pool")
  }

  /// Sends a request once and waits for the response.
  /// - Throws: the errors of `HTTPClient.send`; `NetworkError.exhausted` with too many requests in
  ///   flight.
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
      let now = environment.clock.now
      // The last one that was used is taken first, so the others would stay for ever.
      let old = idle.prefix { now - $0.since >= Self.idleLimit }
      for (client, _) in old { client.close() }
      idle.removeFirst(old.count)
      idle.append((client, now))
      return response
    } catch let error as NetworkError where error == .closed || error == .reset {
      // After a silent crash of the server all idle connections are dead. Do not try them one by
      // one.
      close()
      throw error
    }
  }

  /// Sends a request that changes nothing. Repeats it over a new connection if the server closed
  /// the one it was sent on.
  /// - Throws: the errors of `send`.
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

  /// Closes the idle connections.
  public func close() {
    for (client, _) in idle { client.close() }
    idle = []
  }
}
