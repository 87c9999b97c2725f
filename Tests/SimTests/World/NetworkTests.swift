@testable import Environment
@testable import Simulation
import Synchronization
import System
import Testing

@testable import Sim

@Suite("The simulated network")
struct NetworkTests {
  /// A node that accepts one connection and does `serve` with it, and a visitor who connects and
  /// does `visit`.
  private func meet<R: Sendable>(
    seed: UInt64 = 1, link: (inout LinkSetting) -> Void = { _ in },
    serve: @escaping @Sendable (any Connection, Environment) async throws -> Void,
    meanwhile: (World) -> Void = { _ in }, visit: @escaping @Sendable (any Connection, Environment) async throws -> R
  ) throws -> R {
    let world = World(seed: seed)
    link(&world.link)
    world.addNode("server") { environment in
      let listener = try environment.network.listen(SocketAddress(host: "server", port: 1), backlog: 8)
      try await serve(try await listener.accept(), environment)
      return nil
    }.start()
    world.run(until: .milliseconds(10))
    meanwhile(world)
    return try world.perform { environment in
      let connection = try await environment.network.connect(
        to: SocketAddress(host: "server", port: 1), deadline: environment.clock.now + .seconds(5))
      return try await visit(connection, environment)
    }
  }

  @Test("bytes arrive whole and in order, cut anywhere")
  func order() throws {
    let sent = (0..<10_000).map { UInt8(truncatingIfNeeded: $0 * 7) }
    let received = try meet(
      link: { $0.splits = 0.9 },
      serve: { connection, _ in
        try await connection.write(sent, deadline: nil)
        connection.close()
      }
    ) { connection, _ in
      var all: [UInt8] = []
      var reads = 0
      while true {
        let bytes = try await connection.read(atMost: 512, deadline: nil)
        if bytes.isEmpty { return (all, reads) }
        #expect(bytes.count <= 512)
        all += bytes
        reads += 1
      }
    }
    #expect(received.0 == sent)
    #expect(received.1 >= 20)
  }

  @Test("bytes to a client that has closed in order are answered with a reset, so that later ones fail")
  func writingToTheClosed() throws {
    final class Failed: @unchecked Sendable { var error: NetworkError? }
    let failed = Failed()
    try meet(serve: { connection, environment in
      do {
        for _ in 0..<100 {
          try await connection.write([1], deadline: nil)
          try await environment.clock.sleep(for: .milliseconds(100))
        }
      } catch let error as NetworkError { failed.error = error }
    }) { connection, environment in
      _ = try await connection.read(atMost: 10, deadline: nil)
      connection.close()
      try await environment.clock.sleep(for: .seconds(20))
    }
    #expect(failed.error == .reset)
  }

  @Test("half-close: what comes back is still read")
  func halfClose() throws {
    let answer = try meet(serve: { connection, _ in
      var all: [UInt8] = []
      while case let bytes = try await connection.read(atMost: 10, deadline: nil), !bytes.isEmpty { all += bytes }
      try await connection.write(all.reversed(), deadline: nil)
      connection.close()
    }) { connection, _ in
      try await connection.write([1, 2, 3], deadline: nil)
      connection.shutdownWrite()
      await #expect(throws: NetworkError.closed) { try await connection.write([4], deadline: nil) }
      return try await connection.read(atMost: 10, deadline: nil)
    }
    #expect(answer == [3, 2, 1])
  }

  @Test("back-pressure: the writer waits for a reader who does not read, and times out")
  func backPressure() throws {
    try meet(serve: { _, environment in try await environment.clock.sleep(for: .seconds(100)) }) {
      connection, environment in
      let start = environment.clock.now
      await #expect(throws: NetworkError.timedOut) {
        try await connection.write([UInt8](repeating: 0, count: 200_000), deadline: start + .seconds(3))
      }
      #expect(environment.clock.now - start >= .seconds(3))
    }
  }

  @Test("a reset is seen by both, and a close with unread bytes is one")
  func reset() throws {
    try meet(serve: { connection, environment in
      _ = try await connection.read(atMost: 1, deadline: nil)
      connection.close()
    }) { connection, environment in
      try await connection.write([1, 2, 3, 4], deadline: nil)
      await #expect(throws: NetworkError.reset) { try await connection.read(atMost: 10, deadline: nil) }
    }
  }

  @Test("reads time out and can be cancelled")
  func timeouts() throws {
    try meet(serve: { _, environment in try await environment.clock.sleep(for: .seconds(100)) }) {
      connection, environment in
      await #expect(throws: NetworkError.timedOut) {
        try await connection.read(atMost: 1, deadline: environment.clock.now + .seconds(1))
      }
      let reader = environment.executor.spawn("reader") {
        await #expect(throws: CancellationError.self) { try await connection.read(atMost: 1, deadline: nil) }
      }
      try await environment.clock.sleep(for: .milliseconds(10))
      reader.cancel()
      await reader.value
    }
  }

  @Test("connecting: refused where nobody listens, timed out where nobody is and where the backlog is full")
  func connecting() throws {
    let world = World(seed: 1)
    let node = world.addNode("server") { environment in
      _ = try environment.network.listen(SocketAddress(host: "server", port: 1), backlog: 2)
      try await environment.clock.sleep(for: .seconds(1000))
      return nil
    }
    node.start()
    world.run(until: .milliseconds(10))
    try world.perform { environment in
      func connect(_ port: UInt16) async throws -> any Connection {
        try await environment.network.connect(
          to: SocketAddress(host: "server", port: port), deadline: environment.clock.now + .seconds(1))
      }
      await #expect(throws: NetworkError.refused) { _ = try await connect(2) }
      _ = try await connect(1)
      _ = try await connect(1)
      await #expect(throws: NetworkError.timedOut) { _ = try await connect(1) }
    }
    node.crash(.power)
    try world.perform(as: "late") { environment in
      await #expect(throws: NetworkError.timedOut) {
        _ = try await environment.network.connect(
          to: SocketAddress(host: "server", port: 1), deadline: environment.clock.now + .seconds(1))
      }
    }
  }

  @Test("a one-way partition holds one direction until it heals")
  func partition() throws {
    try meet(
      serve: { connection, _ in
        while case let bytes = try await connection.read(atMost: 10, deadline: nil), !bytes.isEmpty {
          try await connection.write(bytes, deadline: nil)
        }
      },
      meanwhile: { world in
        world.at(.seconds(1)) {
          let id = world.partition(from: ["server"], to: ["visitor"])
          world.at(.seconds(5)) { world.heal(id) }
        }
      }
    ) { connection, environment in
      try await connection.write([1], deadline: nil)
      #expect(try await connection.read(atMost: 10, deadline: nil) == [1])
      try await environment.clock.sleep(until: Instant(nanoseconds: 2_000_000_000))
      try await connection.write([2], deadline: nil)
      #expect(try await connection.read(atMost: 10, deadline: nil) == [2])
      #expect(environment.clock.now >= Instant(nanoseconds: 5_000_000_000))
    }
  }

  @Test("an address in use is refused, and free again after the close")
  func addressInUse() throws {
    try World(seed: 1).perform(as: "a") { environment in
      let address = SocketAddress(host: "a", port: 5)
      let listener = try environment.network.listen(address, backlog: 1)
      #expect(throws: NetworkError.addressInUse(address)) { _ = try environment.network.listen(address, backlog: 1) }
      listener.close()
      _ = try environment.network.listen(address, backlog: 1)
    }
  }

  /// Connections that a test retains.
  private final class Kept: Sendable {
    private let connections = Mutex<[any Connection]>([])
    func keep(_ connection: any Connection) { connections.withLock { $0.append(connection) } }
  }

  /// The hash of a run in which bytes arrive at a connection that both ends have closed.
  private func hashOfLateBytes(seed: UInt64, keeping kept: Kept?) throws -> UInt64 {
    let world = World(seed: seed)
    world.link.latency = .milliseconds(100)...(.seconds(1))
    let address = SocketAddress(host: "server", port: 1)
    @Sendable func writeAndClose(_ connection: any Connection) throws {
      kept?.keep(connection)
      for number in 0..<20 as Range<UInt8> { _ = try connection.writeNow([number]) }
      connection.close()
    }
    world.addNode("server") { environment in
      let listener = try environment.network.listen(address, backlog: 8)
      for _ in 0..<3 { try writeAndClose(try await listener.accept()) }
      return nil
    }.start()
    try world.perform(as: "client") { environment in
      for _ in 0..<3 {
        try writeAndClose(
          try await environment.network.connect(to: address, deadline: environment.clock.now + .seconds(9)))
        try await environment.clock.sleep(for: .seconds(10))
      }
    }
    let hash = world.hash.value
    world.end()
    return hash
  }

  @Test("a run does not depend on when connection objects are freed", arguments: 1...5 as ClosedRange<UInt64>)
  func lifetimes(seed: UInt64) throws {
    let freed = try hashOfLateBytes(seed: seed, keeping: nil)
    #expect(try hashOfLateBytes(seed: seed, keeping: nil) == freed)
    #expect(try hashOfLateBytes(seed: seed, keeping: Kept()) == freed)
  }
}
