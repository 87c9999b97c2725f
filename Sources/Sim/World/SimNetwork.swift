import Environment

/// The network interface of a node.
final class SimNetwork: Network, @unchecked Sendable {
  private let life: Life
  private let fabric: Fabric

  init(life: Life, fabric: Fabric) {
    self.life = life
    self.fabric = fabric
  }

  func listen(
    _ address: SocketAddress, backlog: Int, for application: ApplicationProtocol?
  ) throws(NetworkError) -> any Listener {
    guard life.isAlive else { throw .unreachable("the node is down") }
    return try fabric.listen(address, backlog: backlog, life: life)
  }

  func connect(to address: SocketAddress, deadline: Instant) async throws -> any Connection {
    let answer = Answer()
    let limit = fabric.virtual(deadline, of: life)
    guard limit > fabric.scheduler.now else { throw NetworkError.timedOut }
    do {
      try await life.wait(Wait("connect", "to", address), until: limit) { waiter in
        fabric.connect(from: life, to: address) { result in
          if waiter.isPending {
            answer.result = result
            waiter.resume()
          } else if case .success(let connection) = result {
            connection.reset()
          }
        }
      }
    } catch {
      if case .success(let connection)? = answer.result { connection.reset() }
      throw error
    }
    guard let result = answer.result else { throw NetworkError.timedOut }
    return try result.get()
  }

  private final class Answer: @unchecked Sendable {
    var result: Result<SimConnection, NetworkError>?
  }
}
