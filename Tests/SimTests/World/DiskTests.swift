@testable import Environment
@testable import Simulation
import System
import Testing

@testable import Sim

@Suite("The simulated disk")
struct DiskTests {
  private func write(_ file: any File, _ byte: UInt8, count: Int = 4096, at offset: Int64 = 0) throws {
    try [UInt8](repeating: byte, count: count).withUnsafeBytes { try file.write($0, at: offset) }
  }

  private func read(_ storage: any Storage, _ path: String) throws -> [UInt8] {
    let file = try storage.open(path, create: false)
    var bytes = [UInt8](repeating: 0, count: Int(try file.size()))
    _ = try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
    return bytes
  }

  /// Writes with `before`, dies, and looks at what the next life finds.
  private func afterDeath(
    _ death: SimNode.Death, seed: UInt64, _ before: @escaping @Sendable (any Storage) throws -> Void
  ) -> [UInt8]? {
    final class Box: @unchecked Sendable {
      var found: [UInt8]?
      var isSecond = false
    }
    let box = Box()
    let world = World(seed: seed)
    let node = world.addNode("a") { environment in
      if try environment.storage.list().isEmpty, !box.isSecond {
        box.isSecond = true
        try before(environment.storage)
      } else if try environment.storage.exists("f") {
        box.found = try self.read(environment.storage, "f")
      }
      return nil
    }
    node.start()
    world.run(until: .seconds(1))
    node.crash(death)
    world.run(until: .seconds(2))
    node.start()
    world.run(until: .seconds(3))
    return box.found
  }

  @Test("what was synced survives the loss of power; what was not may go, stay, or tear by sectors")
  func power() throws {
    var fates: Set<String> = []
    for seed in 0..<60 as Range<UInt64> {
      let found = try #require(
        afterDeath(.power, seed: seed) { storage in
          let file = try storage.open("f", create: true)
          try write(file, 1)
          try file.sync()
          try storage.syncDirectory()
          try write(file, 2, count: 2048, at: 4096)
          try write(file, 3, count: 2048, at: 0)
        })
      #expect(found.count >= 4096)
      let head = Set(found[..<2048])
      #expect(found[2048..<4096].allSatisfy { $0 == 1 })
      #expect(head.isSubset(of: [1, 3]))
      for start in stride(from: 0, to: 2048, by: 512) { #expect(Set(found[start..<start + 512]).count == 1) }
      fates.insert(head == [1] ? "lost" : head == [3] ? "kept" : "torn")
    }
    #expect(fates == ["lost", "kept", "torn"])
  }

  @Test("a file whose name was not synced may be gone; a killed process loses nothing")
  func names() {
    let fates = Set(
      (0..<30 as Range<UInt64>).map { seed in
        afterDeath(.power, seed: seed) { storage in
          let file = try storage.open("f", create: true)
          try write(file, 1)
          try file.sync()
        } == nil
      })
    #expect(fates == [true, false])
    for seed in 0..<5 as Range<UInt64> {
      let found = afterDeath(.kill, seed: seed) { storage in try write(try storage.open("f", create: true), 9) }
      #expect(found == [UInt8](repeating: 9, count: 4096))
    }
  }

  @Test("EIO, ENOSPC and rot come when they are set, and a failed sync forgets what it did not write")
  func faults() throws {
    let world = World(seed: 1)
    try world.perform(as: "a") { environment in
      let disk = world.node("a")!.disk
      let file = try environment.storage.open("f", create: true)
      disk.faults.failingWrites = 1
      #expect(throws: StorageError.self) { try self.write(file, 1) }
      disk.faults.failingWrites = 0
      disk.faults.byteLimit = 6000
      try self.write(file, 1)
      #expect(throws: StorageError.full("f: no space left on device (ENOSPC)")) { try self.write(file, 1, at: 4096) }
      disk.faults.byteLimit = nil
      try environment.storage.syncDirectory()
      disk.faults.failingSyncs = 1
      #expect(throws: StorageError.self) { try file.sync() }
      disk.faults.failingSyncs = 0
      try file.sync()
      disk.faults.rot = 1
      #expect(try self.read(environment.storage, "f") != [UInt8](repeating: 1, count: 4096))
      disk.faults.rot = 0
      #expect(try self.read(environment.storage, "f") == [UInt8](repeating: 1, count: 4096))
      disk.losePower()
      #expect(disk.names["f"]?.content.isEmpty == true)
    }
  }

  @Test("a lock is held by one, until it is closed or its holder dies")
  func lock() throws {
    try World(seed: 1).perform(as: "a") { environment in
      let first = try environment.storage.open("f", create: true)
      try first.lock()
      let second = try environment.storage.open("f", create: false)
      #expect(throws: StorageError.locked("f")) { try second.lock() }
      first.close()
      try second.lock()
    }
  }
}
