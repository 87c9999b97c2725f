@testable import Environment
@testable import Simulation
import Foundation
import System
import Testing

@testable import Real
@testable import Sim

/// One suite for each interface of the environment, run in both worlds.
@Suite("Environment conformance")
struct ConformanceTests {
  enum Kind: CaseIterable { case real, simulated }

  func withNode<R: Sendable>(_ kind: Kind, _ body: @escaping @Sendable (Environment) async throws -> R) throws
    -> R
  {
    guard kind == .simulated else { return try withRealNode(body) }
    // Each seed splits and delays the bytes differently.
    for seed in 2...6 as ClosedRange<UInt64> { _ = try World(seed: seed).perform(as: "a", body) }
    return try World(seed: 1).perform(as: "a", body)
  }

  private static func newFolder() -> String {
    FileManager.default.temporaryDirectory.appending(
      path: "parley-real-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
    ).path
  }

  private func withRealNode<R: Sendable>(
    in folder: String = newFolder(), _ body: @escaping @Sendable (Environment) async throws -> R
  ) throws -> R {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let node = RealNode(
      "a", storage: try RealStorage(path: folder), disk: OffloadPool(threads: 1), compute: OffloadPool(threads: 1),
      log: LogWriter(), level: .error)
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

  @Test("after a half-close the answer can still be read", arguments: Kind.allCases)
  func halfClose(kind: Kind) throws {
    try withNode(kind) { environment in
      let (client, server) = try await Self.pair(environment)
      try await client.write([1, 2, 3], deadline: nil)
      client.shutdownWrite()
      #expect(try await server.read(atMost: 10, deadline: nil) == [1, 2, 3])
      #expect(try await server.read(atMost: 10, deadline: nil) == [])
      try await server.write([4], deadline: nil)
      #expect(!client.hasEnded && server.hasEnded)
      server.close()
      #expect(try await client.read(atMost: 10, deadline: nil) == [4])
      #expect(try await client.read(atMost: 10, deadline: nil) == [])
    }
  }

  @Test("a side that does not read still learns of a close or a reset", arguments: Kind.allCases)
  func ended(kind: Kind) throws {
    try withNode(kind) { environment in
      for reset in [false, true] {
        let (client, server) = try await Self.pair(environment)
        try await environment.clock.sleep(for: .milliseconds(20))
        #expect(!client.hasEnded && !server.hasEnded)
        if reset { server.reset() } else { server.close() }
        #expect(server.hasEnded)
        for _ in 0..<500 where !client.hasEnded { try await environment.clock.sleep(for: .milliseconds(10)) }
        #expect(client.hasEnded)
        client.close()
      }
    }
  }

  @Test("a reset is seen; reads time out, are cancelled, and end at close", arguments: Kind.allCases)
  func endings(kind: Kind) throws {
    try withNode(kind) { environment in
      let (client, server) = try await Self.pair(environment)
      await #expect(throws: NetworkError.timedOut) {
        try await client.read(atMost: 1, deadline: environment.clock.now + .milliseconds(20))
      }
      let reader = environment.executor.spawn("reader") {
        await #expect(throws: CancellationError.self) { try await client.read(atMost: 1, deadline: nil) }
        // A cancelled task waits no longer.
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

  @Test("writeNow takes what fits, and nothing after a close", arguments: Kind.allCases)
  func writesAtOnce(kind: Kind) throws {
    try withNode(kind) { environment in
      let (client, server) = try await Self.pair(environment)
      #expect(try client.writeNow([1, 2, 3]) == 3)
      #expect(try await server.read(atMost: 10, deadline: nil) == [1, 2, 3])
      let much = [UInt8](repeating: 7, count: 32 << 20)[...]
      let part = try client.writeNow(much)
      #expect(part > 10_000 && part < much.count)
      #expect(try client.writeNow(much.dropFirst(part)) == 0)
      client.close()
      #expect(throws: NetworkError.closed) { try client.writeNow([1]) }
      var total = 0
      while case let part = try await server.read(atMost: 1 << 20, deadline: nil), !part.isEmpty { total += part.count }
      #expect(total == part)
    }
  }

  @Test("back-pressure: a writer waits for its reader, then everything arrives", arguments: Kind.allCases)
  func backPressure(kind: Kind) throws {
    try withNode(kind) { environment in
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

  @Test(
    "connecting without a listener is refused, and so is listening on an address in use", arguments: Kind.allCases
  )
  func refused(kind: Kind) throws {
    try withNode(kind) { environment in
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

  @Test("files: growth, truncation, names, and the lock", arguments: Kind.allCases)
  func files(kind: Kind) throws {
    try withNode(kind) { environment in
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

  @Test("bytes arrive complete and in order, however they are split", arguments: Kind.allCases)
  func order(kind: Kind) throws {
    try withNode(kind) { environment in
      let (client, server) = try await Self.pair(environment)
      let bytes = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
      environment.executor.spawn("writer") {
        var rest = bytes[...]
        for size in [1, 2, 3, 1000, 65_536, 70_000] + Array(repeating: 20_000, count: 20) {
          try? await client.write(Array(rest.prefix(size)), deadline: nil)
          rest = rest.dropFirst(size)
        }
        client.close()
      }
      var heard: [UInt8] = []
      while case let part = try await server.read(atMost: 7777, deadline: nil), !part.isEmpty {
        #expect(part.count <= 7777)
        heard += part
      }
      #expect(heard == bytes)
    }
  }

  @Test("closing with bytes unread resets the connection (RFC 2525 §2.17)", arguments: Kind.allCases)
  func unread(kind: Kind) throws {
    try withNode(kind) { environment in
      let (client, server) = try await Self.pair(environment)
      try await client.write([1, 2, 3], deadline: nil)
      #expect(try await server.read(atMost: 1, deadline: nil) == [1])
      try await environment.clock.sleep(for: .milliseconds(20))
      server.close()
      await #expect(throws: NetworkError.reset) {
        try await client.read(atMost: 1, deadline: environment.clock.now + .seconds(5))
      }
      // Later writes are lost.
      await #expect(throws: NetworkError.self) { try await client.write([4], deadline: nil) }
    }
  }

  @Test("bytes sent before a close are read before the end", arguments: Kind.allCases)
  func closeAfterWrite(kind: Kind) throws {
    try withNode(kind) { environment in
      let (client, server) = try await Self.pair(environment)
      try await client.write(Array("last words".utf8), deadline: nil)
      client.close()
      try await environment.clock.sleep(for: .milliseconds(10))
      var heard: [UInt8] = []
      while case let part = try await server.read(atMost: 3, deadline: nil), !part.isEmpty { heard += part }
      #expect(String(decoding: heard, as: UTF8.self) == "last words")
      await #expect(throws: NetworkError.closed) { try await client.write([1], deadline: nil) }
    }
  }

  @Test("connections time out once the backlog of a listener is full", arguments: Kind.allCases)
  func backlog(kind: Kind) throws {
    try withNode(kind) { environment in
      let listener = try environment.network.listen(SocketAddress(host: "127.0.0.1", port: 0), backlog: 1)
      var made: [any Connection] = []
      var failure: NetworkError?
      for _ in 0..<8 where failure == nil {
        do {
          made.append(
            try await environment.network.connect(
              to: listener.address, deadline: environment.clock.now + .milliseconds(200)))
        } catch let error as NetworkError {
          failure = error
        }
      }
      #expect(failure == .timedOut)
      #expect((1...4).contains(made.count))
      listener.close()
    }
  }

  @Test("a full disk reports it, keeps its data, and accepts more once there is room")
  func fullDisk() throws {
    @Sendable func fill(_ storage: any Storage) throws {
      let file = try storage.open("f", create: true)
      let block = [UInt8](repeating: 9, count: 16_384)
      var written: Int64 = 0
      #expect {
        while written < 1 << 20 {
          try block.withUnsafeBytes { try file.write($0, at: written) }
          written += 16_384
        }
      } throws: { error in
        if case .full? = error as? StorageError { true } else { false }
      }
      #expect(written > 0)
      var first = [UInt8](repeating: 0, count: 4)
      #expect(try first.withUnsafeMutableBytes { try file.read(into: $0, at: 0) } == 4)
      #expect(first == [9, 9, 9, 9])
      try file.truncate(to: 0)
      try block.withUnsafeBytes { try file.write($0, at: 0) }
    }
    let world = World(seed: 1)
    world.addNode("small") { environment in
      try fill(environment.storage)
      return nil
    }
    world.node("small")!.disk.faults.byteLimit = 100_000
    world.node("small")!.start()
    world.run(until: .seconds(1))
    #expect(world.node("small")!.disk.faults.filled > 0 && world.node("small")!.failedStarts == 0)

    let folder = Self.newFolder()
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    // Only root may mount. Without it the simulated half runs alone.
    guard mount("tmpfs", folder, "tmpfs", 0, "size=100k") == 0 else { return }
    defer { umount2(folder, Int32(MNT_DETACH)) }
    try fill(try RealStorage(path: folder))
  }

  @Test("writes survive a crash of the process; only synced writes survive a crash of the machine")
  func kill() throws {
    let folder = Self.newFolder()
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let shell = try FinishedProcess(URL(filePath: "/bin/sh"), ["-c", "printf words > \"\(folder)/f\"; kill -9 $$"])
    #expect(shell.code == nil)
    @Sendable func words(_ storage: any Storage) throws -> String {
      guard try storage.exists("f") else { return "" }
      let file = try storage.open("f", create: false)
      var bytes = [UInt8](repeating: 0, count: 10)
      let count = try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
      return String(decoding: bytes[..<count], as: UTF8.self)
    }
    #expect(try withRealNode(in: folder) { try words($0.storage) } == "words")

    final class Seen: @unchecked Sendable { var words: [String] = [] }
    func simulated(_ death: SimNode.Death, seed: UInt64) -> String {
      let seen = Seen()
      let world = World(seed: seed)
      world.addNode("a") { environment in
        seen.words.append(try words(environment.storage))
        let file = try environment.storage.open("f", create: true)
        try Array("words".utf8).withUnsafeBytes { try file.write($0, at: 0) }
        return nil
      }
      let node = world.node("a")!
      node.start()
      world.run(until: .seconds(1))
      node.crash(death)
      node.start()
      world.run(until: .seconds(2))
      return seen.words[1]
    }
    #expect((1...20).allSatisfy { simulated(.kill, seed: $0) == "words" })
    #expect(Set((1...40).map { simulated(.power, seed: $0) }).contains(""))
  }

  @Test("random bytes are never returned twice, whatever the size of requests", arguments: Kind.allCases)
  func entropy(kind: Kind) throws {
    let repeats = try withNode(kind) { environment in
      let lock = NSLock()
      nonisolated(unsafe) var seen: Set<[UInt8]> = []
      nonisolated(unsafe) var repeats = 0
      @Sendable func take(_ size: Int) {
        let bytes = environment.entropy.bytes(size)
        lock.withLock {
          for start in stride(from: 0, through: size - 12, by: 12) {
            if !seen.insert(Array(bytes[start..<start + 12])).inserted { repeats += 1 }
          }
        }
      }
      let sizes = [12, 36, 16, 100, 127, 128, 129, 2000]
      for round in 0..<50 { take(sizes[round % sizes.count]) }
      // The real implementation is used by all threads.
      if kind == .real { DispatchQueue.concurrentPerform(iterations: 4) { _ in for _ in 0..<500 { take(24) } } }
      return repeats
    }
    #expect(repeats == 0)
  }
}
