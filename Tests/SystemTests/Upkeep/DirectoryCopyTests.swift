import Environment
import Testing

@testable import System

/// Databases are copied while a writer commits, between any two reads of the copier.
@Suite("Copies of a directory in use")
struct DirectoryCopyTests {
  /// A storage that calls a function before each read, and whose files seem to be copied when a
  /// test says so.
  private struct Watched: Storage {
    let base: MemoryStorage
    var mark: Mark?
    var beforeRead: @Sendable () -> Void = {}

    func open(_ path: String, create: Bool) throws(StorageError) -> any File {
      WatchedFile(base: try base.open(path, create: create), mark: mark, beforeRead: beforeRead)
    }
    func exists(_ path: String) -> Bool { base.exists(path) }
    func remove(_ path: String) throws(StorageError) { try base.remove(path) }
    func rename(_ path: String, to newPath: String) throws(StorageError) { try base.rename(path, to: newPath) }
    func list() -> [String] { base.list() }
    func syncDirectory() {}
  }

  private final class Mark: @unchecked Sendable {
    var isBeingCopied = false
  }

  private struct WatchedFile: File {
    let base: any File
    let mark: Mark?
    let beforeRead: @Sendable () -> Void

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(StorageError) -> Int {
      beforeRead()
      return try base.read(into: buffer, at: offset)
    }
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(StorageError) {
      try base.write(bytes, at: offset)
    }
    func sync() throws(StorageError) { try base.sync() }
    func truncate(to size: Int64) throws(StorageError) { try base.truncate(to: size) }
    func size() throws(StorageError) -> Int64 { try base.size() }
    func isStillNamed() throws(StorageError) -> Bool { try base.isStillNamed() }
    func lock() throws(StorageError) { try base.lock() }
    func markAsBeingCopied() throws(StorageError) { try base.markAsBeingCopied() }
    func isBeingCopied() throws(StorageError) -> Bool {
      if let mark { return mark.isBeingCopied }
      return try base.isBeingCopied()
    }
    func close() { base.close() }
  }

  /// Counts in one database, then in the other, so the second is at most one behind and never
  /// ahead.
  private final class Writer: @unchecked Sendable {
    private let connections: [SQLConnection]
    private var random: UInt64
    private(set) var count: Int64 = 0
    private var turn = 0
    private(set) var checkpoints = 0
    var isWriting = false
    /// One in this many steps is a checkpoint.
    let checkpointRate: UInt64

    init(_ storage: MemoryStorage, seed: UInt64, checkpointRate: UInt64) throws {
      random = seed &* 0x9E37_79B9_7F4A_7C15 | 1
      self.checkpointRate = checkpointRate
      connections = try [UserService.database, ChatService.database].map { database in
        let connection = try SQLConnection(path: database.path, vfs: StorageVFS(storage), synchronous: true)
        try database.migrations.make(in: connection)
        try connection.run(
          "CREATE TABLE counter (only INTEGER PRIMARY KEY, n INTEGER, filler TEXT); INSERT INTO counter VALUES (1, 0, '')"
        )
        return connection
      }
    }

    private func draw(_ bound: UInt64) -> UInt64 {
      random ^= random << 13
      random ^= random >> 7
      random ^= random << 17
      return random % bound
    }

    /// A few steps, or none.
    func step() {
      guard isWriting else { return }
      for _ in 0..<draw(3) {
        if draw(checkpointRate) == 0 {
          checkpoints += 1
          _ = try! connections[Int(draw(2))].query("PRAGMA wal_checkpoint(RESTART)") { $0.int(0) }
        }
        if turn == 0 { count += 1 }
        // Changes pages of both new and old places.
        try! connections[turn].execute(
          "UPDATE counter SET n = $1, filler = $2",
          .int(count), .text(String(repeating: "x", count: Int(draw(3000)))))
        turn = 1 - turn
      }
    }
  }

  private static func counts(in storage: MemoryStorage) throws -> [Int64] {
    try [UserService.database, ChatService.database].map { database in
      let connection = try SQLConnection(path: database.path, vfs: StorageVFS(storage), synchronous: true)
      return try #require(try connection.first("SELECT n FROM counter") { $0.int(0) })
    }
  }

  @Test("a copy is of one moment in all databases, whatever is written meanwhile", arguments: 0..<60 as Range<UInt64>)
  func oneMoment(seed: UInt64) throws {
    let source = MemoryStorage()
    let writer = try Writer(source, seed: seed, checkpointRate: 60)
    for _ in 0..<20 { writer.step() }
    writer.isWriting = true
    for _ in 0..<20 { writer.step() }
    let before = writer.count
    let copy = MemoryStorage()
    guard Self.copy(source, to: copy, beside: writer) else {
      // With so many checkpoints, all attempts may fail.
      #expect(writer.checkpoints > 3)
      return
    }
    writer.isWriting = false
    let counts = try Self.counts(in: copy)
    #expect(counts[0] - counts[1] == 0 || counts[0] - counts[1] == 1, "\(counts)")
    #expect((before - 1...writer.count).contains(counts[1]))
    #expect(try DirectoryCheck(of: copy).lines == [])
  }

  /// Copies while the writer writes. It rests at times, as one that waits for its disk. Returns
  /// false if the log began again in all attempts.
  private static func copy(_ source: MemoryStorage, to copy: MemoryStorage, beside writer: Writer) -> Bool {
    let reads = Reads()
    let watched = Watched(base: source) { if reads.next() % 64 < 40 { writer.step() } }
    return (try? DirectoryCopy.make(from: watched, to: copy)) != nil
  }

  private final class Reads: @unchecked Sendable {
    private var count = 0
    func next() -> Int {
      count += 1
      return count
    }
  }

  @Test("a copy whose log begins again is void")
  func overtaken() throws {
    let source = MemoryStorage()
    let connection = try SQLConnection(path: "accounts.db", vfs: StorageVFS(source), synchronous: true)
    try connection.run("CREATE TABLE t (n); INSERT INTO t VALUES (1)")
    let copy = try DatabaseCopy("accounts.db", from: source, to: MemoryStorage())
    try connection.run("INSERT INTO t VALUES (2)")
    #expect(try copy.follow())
    #expect(try !copy.follow())
    _ = try connection.query("PRAGMA wal_checkpoint(RESTART)") { $0.int(0) }
    // The old log is complete until something is written.
    #expect(try !copy.follow())
    try connection.run("INSERT INTO t VALUES (3)")
    #expect(throws: CopyError.overtaken("accounts.db")) { try copy.follow() }
  }

  @Test("a copy has no part of a transaction that is not committed")
  func uncommitted() throws {
    let source = MemoryStorage()
    let connection = try SQLConnection(path: "accounts.db", vfs: StorageVFS(source), synchronous: true)
    try connection.run("CREATE TABLE t (n); INSERT INTO t VALUES (1); PRAGMA cache_size = 1; BEGIN")
    // More pages than the cache holds, so that some are in the log before the commit.
    try connection.run(
      """
      WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
      INSERT INTO t SELECT hex(randomblob(100)) FROM n
      """)
    let target = MemoryStorage()
    let copy = try DatabaseCopy("accounts.db", from: source, to: target)
    try connection.run("ROLLBACK; INSERT INTO t VALUES (2)")
    #expect(try copy.follow())
    try copy.finish()
    let copied = try SQLConnection(path: "accounts.db", vfs: StorageVFS(target), synchronous: true)
    #expect(try copied.first("SELECT count(*) FROM t") { $0.int(0) } == 2)
    #expect(try copied.first("PRAGMA integrity_check") { $0.text(0) } == "ok")
  }

  @Test("a database does not move its log while it is being copied")
  func checkpointsWait() async throws {
    let mark = Mark()
    let storage = Watched(base: MemoryStorage(), mark: mark)
    var options = DatabaseOptions()
    options.longLog = 4096
    options.longestLog = 65_536
    let file = DatabaseFile(
      storage: storage, path: "accounts.db", migrations: UserService.database.migrations, options: options,
      log: Log(node: "test", threshold: .error) { _ in })
    let connection = try await file.connected()
    func write() throws {
      for _ in 0..<10 { try connection.execute("UPDATE health SET checked_at = checked_at + 1") }
    }
    func salt() throws -> [UInt8] {
      let log = try storage.base.open("accounts.db-wal", create: false)
      var bytes = [UInt8](repeating: 0, count: 4)
      try bytes.withUnsafeMutableBytes { _ = try log.read(into: $0, at: 16) }
      return bytes
    }
    try write()
    try file.checkpointWhenLong()
    try write()
    let first = try salt()
    mark.isBeingCopied = true
    try file.checkpointWhenLong()
    try write()
    #expect(try salt() == first)
    for _ in 0..<10 { try write() }
    try file.checkpointWhenLong()
    try write()
    let second = try salt()
    #expect(second != first, "the log may not grow for ever")
    mark.isBeingCopied = false
    try write()
    try file.checkpointWhenLong()
    try write()
    #expect(try salt() != second)
  }
}
