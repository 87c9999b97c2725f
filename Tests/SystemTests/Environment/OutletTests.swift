@testable import Environment
@testable import Simulation
import Testing

@Suite("Outlets")
struct OutletTests {
  /// A connection that takes a scripted number of bytes at once.
  private final class Scripted: Connection, @unchecked Sendable {
    let peer = SocketAddress(host: "peer", port: 1)
    let hasEnded = false
    /// The bytes of each call of `writeNow` and of `write`.
    var written: [[UInt8]] = []
    /// Bytes that `writeNow` takes; then it takes none.
    var room = Int.max
    var isBroken = false
    var resets = 0

    func read(atMost limit: Int, deadline: Instant?) async throws -> [UInt8] { [] }

    func write(_ bytes: [UInt8], deadline: Instant?) async throws {
      if isBroken { throw NetworkError.reset }
      written.append(bytes)
    }

    func writeNow(_ bytes: ArraySlice<UInt8>) throws -> Int {
      if isBroken { throw NetworkError.reset }
      let taken = bytes.prefix(room)
      room -= taken.count
      written.append(Array(taken))
      return taken.count
    }

    func shutdownWrite() {}
    func close() {}
    func reset() { resets += 1 }
  }

  /// An actor with an outlet.
  private actor Owner {
    private let environment: Environment
    private let serialExecutor: ActorExecutor
    private let outlet: Outlet
    private var queued: [UInt8] = []
    private(set) var events: [String] = []
    nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

    init(_ environment: Environment, _ connection: any Connection, patience: Duration = .seconds(5)) {
      self.environment = environment
      serialExecutor = environment.executor.forActor("owner")
      outlet = Outlet("writer", environment, connection, patience: patience)
    }

    func begin() {
      outlet.draw {
        defer { self.queued = [] }
        return self.queued
      } onEvent: { event in
        self.events.append("\(event) \(self.outlet.underWay)")
      }
    }

    /// Queues bytes, several times in one turn.
    func send(_ pieces: [[UInt8]]) {
      for piece in pieces {
        queued += piece
        outlet.flush(on: self)
      }
    }

    func sendAndWait(_ bytes: [UInt8]) async {
      queued += bytes
      if outlet.begin() { await outlet.writeAll(on: self) }
    }

    func waitUntilIdle(for patience: Duration) async {
      await outlet.waitUntilIdle(before: environment.clock.now + patience, in: environment)
    }

    var isWriting: Bool { outlet.isWriting }
    var lastWrite: Instant { outlet.lastWrite }
  }

  private func check(
    _ connection: Scripted = Scripted(), _ body: @escaping @Sendable (Environment, Scripted, Owner) async throws -> Void
  ) throws {
    let world = World(seed: 1)
    try world.perform { environment in
      let owner = Owner(environment, connection)
      await owner.begin()
      try await body(environment, connection, owner)
    }
    world.end()
  }

  @Test("all bytes of one turn are written together")
  func together() throws {
    try check { environment, connection, owner in
      try await environment.clock.sleep(for: .seconds(1))
      await owner.send([[1], [2, 3], [4]])
      await owner.waitUntilIdle(for: .seconds(1))
      #expect(connection.written == [[1, 2, 3, 4]])
      #expect(await owner.events == ["written 0"])
      #expect(await owner.lastWrite >= Instant(nanoseconds: 1_000_000_000))
      await owner.send([[]])
      await owner.waitUntilIdle(for: .seconds(1))
      #expect(connection.written.count == 1)
    }
  }

  @Test("what the network does not take at once is written by a task, and later bytes after it")
  func stalled() throws {
    try check { _, connection, owner in
      connection.room = 2
      await owner.send([[1, 2, 3], [4, 5]])
      await owner.waitUntilIdle(for: .seconds(1))
      #expect(connection.written == [[1, 2], [3, 4, 5]])
      #expect(await owner.events == ["stalled 3", "written 0"])
      connection.room = 0
      await owner.sendAndWait([6])
      #expect(connection.written.last == [6])
      #expect(await owner.isWriting == false)
    }
  }

  @Test("a broken connection is reset once, and the outlet becomes idle")
  func broken() throws {
    try check { _, connection, owner in
      connection.isBroken = true
      await owner.send([[1]])
      await owner.waitUntilIdle(for: .seconds(1))
      #expect(await owner.events == ["failed 0"])
      #expect(connection.resets == 1)
      #expect(connection.written.isEmpty)
    }
  }

  @Test("a peer that takes nothing for the time of patience is cut off")
  func patience() throws {
    let world = World(seed: 2)
    let address = SocketAddress(host: "sleeper", port: 1)
    world.addNode("sleeper") { environment in
      let listener = try environment.network.listen(address, backlog: 1)
      let connection = try await listener.accept()
      try await environment.clock.sleep(for: .seconds(60))
      connection.close()
      return nil
    }.start()
    try world.perform { environment in
      try await environment.clock.sleep(for: .seconds(1))
      let begin = environment.clock.now
      let connection = try await environment.network.connect(to: address, deadline: begin + .seconds(1))
      let owner = Owner(environment, connection, patience: .seconds(5))
      await owner.begin()
      let sent = environment.clock.now
      await owner.send([[UInt8](repeating: 7, count: 200_000)])
      await owner.waitUntilIdle(for: .seconds(2))
      #expect(await owner.isWriting)
      await owner.waitUntilIdle(for: .seconds(10))
      #expect(environment.clock.now - sent == .seconds(5))
      #expect(await owner.events.map { $0.split(separator: " ")[0] } == ["stalled", "failed"])
      #expect(connection.hasEnded)
    }
    world.end()
  }
}
