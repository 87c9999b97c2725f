import Environment

/// The write-ahead log of a database file.
enum DatabaseLog {
  /// Writes the log again as it reads, and syncs it.
  ///
  /// After a failed sync the kernel may mark pages clean that never reached the disk (Rebello et
  /// al., "Can applications recover from fsync failures?", ATC 2020). They read well and are lost
  /// with the power: a checkpoint from such a log, cut off in the middle, would leave a database
  /// that is neither the old nor the new one. Written again, the pages are dirty again, and the
  /// sync reports the truth about them.
  static func rewrite(of path: String, in storage: any Storage) throws(StorageError) {
    let log = path + "-wal"
    guard try storage.exists(log) else { return }
    let file = try storage.open(log, create: false)
    defer { file.close() }
    let size = try file.size()
    guard size > 0 else { return }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
    defer { buffer.deallocate() }
    var offset: Int64 = 0
    while offset < size {
      let count = try readTwice(file, log, into: buffer, at: offset)
      guard count > 0 else { break }
      try file.write(UnsafeRawBufferPointer(rebasing: buffer[..<count]), at: offset)
      offset += Int64(count)
    }
    try file.sync()
    try storage.syncDirectory()
  }

  private static func readTwice(
    _ file: any File, _ name: String, into buffer: UnsafeMutableRawBufferPointer, at offset: Int64
  ) throws(StorageError) -> Int {
    let count = try file.read(into: buffer, at: offset)
    let first = VFSFile.checksum(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
    let again = try file.read(into: buffer, at: offset)
    guard again == count, VFSFile.checksum(UnsafeRawBufferPointer(rebasing: buffer[..<count])) == first else {
      throw .failed("\(name) does not read twice the same")
    }
    return count
  }
}
