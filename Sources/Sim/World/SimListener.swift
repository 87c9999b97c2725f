import Environment

/// A simulated listening socket.
final class SimListener: Listener, @unchecked Sendable {
  let address: SocketAddress
  let life: Life
  private let backlog: Int
  private let fabric: Fabric
  private var waiting: [SimConnection] = []
  private var acceptor: Waiter?
  private(set) var isOpen = true

  init(_ address: SocketAddress, backlog: Int, life: Life, fabric: Fabric) {
    self.address = address
    self.backlog = backlog
    self.life = life
    self.fabric = fabric
  }

  var hasRoom: Bool { waiting.count < backlog }

  func arrived(_ connection: SimConnection) {
    waiting.append(connection)
    acceptor?.resume()
  }

  func accept() async throws -> any Connection {
    while true {
      guard life.isAlive else { throw NodeDown() }
      guard isOpen else { throw NetworkError.closed }
      if !waiting.isEmpty {
        fabric.trace.event(.accepted, life.name, value: UInt64(waiting[0].id), "#\(waiting[0].id)")
        return waiting.removeFirst()
      }
      try await life.wait(Wait("accept", "on", address)) { acceptor = $0 }
    }
  }

  func close() {
    guard isOpen else { return }
    isOpen = false
    fabric.unlisten(self)
    for connection in waiting { connection.reset() }
    waiting = []
    acceptor?.resume()
  }
}
