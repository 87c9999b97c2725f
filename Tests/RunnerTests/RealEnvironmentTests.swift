import Foundation
import System
import Testing

@testable import Real

/// The real environment keeps the promises that the simulated one is tested for.
@Suite("The real environment")
struct RealEnvironmentTests {
  private func withNode<R: Sendable>(_ body: @escaping @Sendable (Environment) async throws -> R) throws -> R {
    let folder = FileManager.default.temporaryDirectory.appending(
      path: "parley-real-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
    ).path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let node = RealNode(
      "a", storage: try RealStorage(path: folder), disk: OffloadPool(threads: 1), compute: OffloadPool(threads: 1),
      log: LogWriter(format: .text), level: .error)
    defer { node.loop.perform { node.loop.stop() } }
    return try node.run(body)
  }

  private static func pair(_ environment: Environment) async throws -> (any Connection, any Connection) {
    let listener = try environment.network.listen(SocketAddress(host: "127.0.0.1", port: 0), backlog: 8)
    async let accepted = listener.accept()
    let client = try await environment.network.connect(
      to: listener.address, deadline: environment.clock.now + .seconds(5))
    let server = try await accepted
    listener.close()
    return (client, server)
  }

  @Test("half-close: what comes back is still read")
  func halfClose() throws {
    try withNode { environment in
      let (client, server) = try await Self.pair(environment)
      try await client.write([1, 2, 3], deadline: nil)
      client.shutdownWrite()
      #expect(try await server.read(atMost: 10, deadline: nil) == [1, 2, 3])
      #expect(try await server.read(atMost: 10, deadline: nil) == [])
      try await server.write([4], deadline: nil)
      server.close()
      #expect(try await client.read(atMost: 10, deadline: nil) == [4])
      #expect(try await client.read(atMost: 10, deadline: nil) == [])
    }
  }

  @Test("a reset is seen; reads time out, are cancelled, and end at close")
  func endings() throws {
    try withNode { environment in
      let (client, server) = try await Self.pair(environment)
      await #expect(throws: NetworkError.timedOut) {
        try await client.read(atMost: 1, deadline: environment.clock.now + .milliseconds(20))
      }
      let reader = environment.executor.spawn("reader") {
        await #expect(throws: CancellationError.self) { try await client.read(atMost: 1, deadline: nil) }
      }
      try await environment.clock.sleep(for: .milliseconds(5))
      reader.cancel()
      await reader.value
      server.reset()
      await #expect(throws: NetworkError.reset) {
        try await client.read(atMost: 1, deadline: environment.clock.now + .seconds(5))
      }
      client.close()
      await #expect(throws: NetworkError.closed) { try await client.read(atMost: 1, deadline: nil) }
    }
  }

  @Test("back-pressure: a writer waits for a reader who does not read, then all arrives")
  func backPressure() throws {
    try withNode { environment in
      let (client, server) = try await Self.pair(environment)
      let bytes = [UInt8](repeating: 7, count: 32 << 20)
      await #expect(throws: NetworkError.timedOut) {
        try await client.write(bytes, deadline: environment.clock.now + .milliseconds(50))
      }
      client.close()
      var total = 0
      while case let part = try await server.read(atMost: 1 << 20, deadline: nil), !part.isEmpty { total += part.count }
      #expect(total > 10_000 && total < bytes.count)
    }
  }

  @Test("connecting is refused where nobody listens, and an address in use is refused to a second")
  func refused() throws {
    try withNode { environment in
      let listener = try environment.network.listen(SocketAddress(host: "127.0.0.1", port: 0), backlog: 1)
      #expect(throws: NetworkError.addressInUse(listener.address)) {
        try environment.network.listen(listener.address, backlog: 1)
      }
      listener.close()
      await #expect(throws: NetworkError.refused) {
        try await environment.network.connect(to: listener.address, deadline: environment.clock.now + .seconds(1))
      }
      await #expect(throws: NetworkError.closed) { try await listener.accept() }
    }
  }

  @Test("files: growth, truncation, names, and the lock")
  func files() throws {
    try withNode { environment in
      let storage = environment.storage
      let file = try storage.open("f", create: true)
      try [UInt8](repeating: 5, count: 10).withUnsafeBytes { try file.write($0, at: 90) }
      #expect(try file.size() == 100)
      try file.truncate(to: 95)
      try file.sync()
      var bytes = [UInt8](repeating: 1, count: 20)
      #expect(try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 85) } == 10)
      #expect(bytes[0] == 0 && bytes[5] == 5)
      try file.lock()
      let other = try storage.open("f", create: false)
      #expect(throws: StorageError.locked("f")) { try other.lock() }
      try storage.rename("f", to: "g")
      try storage.syncDirectory()
      #expect(try !file.isStillNamed())
      #expect(try storage.list() == ["g"])
      file.close()
      try other.lock()
      try storage.remove("g")
      #expect(throws: StorageError.notFound("g")) { try storage.open("g", create: false) }
    }
  }
}
