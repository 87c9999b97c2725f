import Environment

/// The size and the digest of a file.
public struct FileDigest: Hashable, Sendable {
  /// The size in bytes.
  public let size: Int64
  /// The SHA-256 digest in hexadecimal digits.
  public let sha256: String

  /// Makes a digest from its parts, as a manifest has them.
  public init(size: Int64, sha256: String) {
    self.size = size
    self.sha256 = sha256
  }

  /// Reads a file.
  public init(of path: String, in storage: any Storage) throws(StorageError) {
    self = try Self.copy(path, from: storage, to: nil)
  }

  /// Copies a file and syncs the copy. Returns the digest of what was copied.
  public static func copying(
    _ path: String, from source: any Storage, to destination: any Storage
  ) throws(StorageError) -> FileDigest {
    let target = try destination.open(path, create: true)
    defer { target.close() }
    try target.truncate(to: 0)
    let digest = try copy(path, from: source, to: target)
    try target.sync()
    return digest
  }

  private static func copy(
    _ path: String, from storage: any Storage, to target: (any File)?
  ) throws(StorageError) -> FileDigest {
    let file = try storage.open(path, create: false)
    defer { file.close() }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 16)
    defer { buffer.deallocate() }
    let sum = SHA256()
    var offset: Int64 = 0
    while true {
      let count = try file.read(into: buffer, at: offset)
      if count == 0 { break }
      let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
      sum.add(bytes)
      try target?.write(bytes, at: offset)
      offset += Int64(count)
    }
    return FileDigest(size: offset, sha256: Hex.encode(sum.finish()))
  }
}
