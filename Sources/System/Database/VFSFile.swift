import Environment
import CSQLite

/// An open file of SQLite: the database, its write-ahead log, or a rollback journal.
final class VFSFile {
  enum Kind { case database, log, journal }

  /// SQLite's smallest page; shorter reads are parts of the header.
  private static let smallestPage = 512

  private struct Extent {
    let count: Int32
    let sum: UInt64
  }

  private let file: any File
  private let kind: Kind
  private var isNew: Bool
  private unowned let owner: StorageVFS
  private var isLocked = false
  /// The checksums of pages that were written or read before, by offset.
  private var known: [Int64: Extent] = [:]
  /// Adjacent writes that are not in the file yet. The frames of a commit are written together
  /// before its sync.
  private var held: [UInt8] = []
  private var heldOffset: Int64 = 0

  init(_ file: any File, kind: Kind, isNew: Bool, owner: StorageVFS) {
    self.file = file
    self.kind = kind
    self.isNew = isNew
    self.owner = owner
  }

  func close() {
    // Held bytes were never synced, so no commit depends on them.
    _ = owner.attempt(ExtendedCode.writeFailed) { () throws(StorageError) in try flush() }
    file.close()
  }

  func lock() -> Int32 {
    if isLocked { return SQLITE_OK }
    let status = owner.attempt(SQLITE_BUSY) { () throws(StorageError) in try file.lock() }
    isLocked = status == SQLITE_OK
    return status
  }

  func size(_ output: UnsafeMutablePointer<Int64>) -> Int32 {
    owner.attempt(ExtendedCode.sizeFailed) { () throws(StorageError) in
      try flush()
      output.pointee = try file.size()
    }
  }

  func sync() -> Int32 {
    owner.attempt(ExtendedCode.syncFailed) { () throws(StorageError) in
      try flush()
      try file.sync()
      if isNew {
        try owner.storage.syncDirectory()
        isNew = false
      }
    }
  }

  func truncate(to size: Int64) -> Int32 {
    owner.attempt(ExtendedCode.truncateFailed) { () throws(StorageError) in
      try flush()
      known = [:]
      try file.truncate(to: size)
    }
  }

  // MARK: Writing

  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) -> Int32 {
    owner.attempt(ExtendedCode.writeFailed) { () throws(StorageError) in
      let goesOn = offset == heldOffset + Int64(held.count) && held.count < owner.longestHeld
      if !goesOn { try flush() }
      if held.isEmpty { heldOffset = offset }
      held.append(contentsOf: bytes)
      // SQLite verifies the headers of the frames of a log.
      if kind != .journal, bytes.count >= Self.smallestPage { remember(bytes, at: offset) } else { known[offset] = nil }
      if kind == .log { owner.logEnd = offset + Int64(bytes.count) }
    }
  }

  /// Writes the held bytes. If that fails, the contents of the file are unknown, and SQLite writes
  /// them again.
  private func flush() throws(StorageError) {
    guard !held.isEmpty else { return }
    defer { held.removeAll(keepingCapacity: true) }
    var failure: StorageError?
    held.withUnsafeBytes { bytes in
      do throws(StorageError) { try file.write(bytes, at: heldOffset) } catch { failure = error }
    }
    guard let failure else { return }
    known = [:]
    throw failure
  }

  private func remember(_ bytes: UnsafeRawBufferPointer, at offset: Int64) {
    known[offset] = Extent(count: Int32(bytes.count), sum: Self.checksum(bytes))
  }

  // MARK: Reading

  func read(_ buffer: UnsafeMutableRawBufferPointer, at offset: Int64) -> Int32 {
    var count = 0
    var isRight = false
    let status = owner.attempt(ExtendedCode.readFailed) { () throws(StorageError) in
      try flush()
      count = try file.read(into: buffer, at: offset)
      isRight = try verify(UnsafeRawBufferPointer(rebasing: buffer[..<count]), at: offset)
    }
    guard status == SQLITE_OK else { return status }
    guard isRight else {
      owner.foundRot = true
      return ExtendedCode.readFailed
    }
    guard count < buffer.count else { return SQLITE_OK }
    UnsafeMutableRawBufferPointer(rebasing: buffer[count...]).initializeMemory(as: UInt8.self, repeating: 0)
    return ExtendedCode.shortRead
  }

  private func verify(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(StorageError) -> Bool {
    if let expected = known[offset], expected.count == bytes.count { return Self.checksum(bytes) == expected.sum }
    guard !bytes.isEmpty else { return true }
    let again = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 8)
    defer { again.deallocate() }
    let count = try file.read(into: again, at: offset)
    guard count == bytes.count, Self.checksum(UnsafeRawBufferPointer(again)) == Self.checksum(bytes) else {
      return false
    }
    if kind == .database, bytes.count >= Self.smallestPage { remember(bytes, at: offset) }
    return true
  }

  /// Two lanes of multiply and xor over words: not a cryptographic hash, but a flipped bit changes
  /// it.
  static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    var a: UInt64 = 0x9E37_79B9_7F4A_7C15
    var b: UInt64 = 0xC2B2_AE3D_27D4_EB4F
    var index = 0
    while index + 16 <= bytes.count {
      a = (a ^ bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)) &* 0x9FB2_1C65_1E98_DF25
      a ^= a >> 29
      b = (b ^ bytes.loadUnaligned(fromByteOffset: index + 8, as: UInt64.self)) &* 0xD6E8_FEB8_6659_FD93
      b ^= b >> 31
      index += 16
    }
    while index < bytes.count {
      a = (a ^ UInt64(bytes[index])) &* 0x100_0000_01B3
      index += 1
    }
    return a &+ (b << 1 | b >> 63)
  }
}
