import Environment

/// An open file of a `SimDisk`.
final class SimFile: File, @unchecked Sendable {
  private let path: String
  private let inode: SimDisk.Inode
  private let disk: SimDisk
  private let life: Life?
  private var holdsLock = false
  private var isCopier = false

  init(_ path: String, _ inode: SimDisk.Inode, on disk: SimDisk) {
    self.path = path
    self.inode = inode
    self.disk = disk
    life = disk.life
  }

  private func operation(writes: Bool, syncs: Bool = false) throws(StorageError) {
    guard let life, life === disk.life else { throw .nodeDown }
    try disk.operation(path, writes: writes, syncs: syncs)
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(StorageError) -> Int {
    try operation(writes: false)
    let start = min(Int(offset), inode.content.count)
    let count = min(buffer.count, inode.content.count - start)
    inode.content.withUnsafeBytes {
      buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[start..<start + count]))
    }
    disk.rot(UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]), path)
    return count
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(StorageError) {
    try operation(writes: true)
    let range = Int(offset)..<Int(offset) + bytes.count
    try disk.grow(path, by: range.upperBound - inode.content.count)
    inode.write(bytes, to: range)
    disk.noteWrite(path, bytes.count, at: range.lowerBound)
  }

  func sync() throws(StorageError) {
    do throws(StorageError) {
      try operation(writes: true, syncs: true)
    } catch {
      // The kernel marks the pages as clean although they were not written.
      if case .failed = error { inode.losePending() }
      throw error
    }
    inode.persist()
    disk.noteSync(path)
  }

  func truncate(to size: Int64) throws(StorageError) {
    try operation(writes: true)
    try disk.grow(path, by: Int(size) - inode.content.count)
    inode.truncate(to: Int(size))
  }

  func size() throws(StorageError) -> Int64 {
    try operation(writes: false)
    return Int64(inode.content.count)
  }

  func isStillNamed() throws(StorageError) -> Bool {
    try operation(writes: false)
    return disk.names[path] === inode
  }

  func lock() throws(StorageError) {
    try operation(writes: false)
    guard !inode.locked else { throw .locked(path) }
    inode.locked = true
    holdsLock = true
  }

  func markAsBeingCopied() throws(StorageError) {
    try operation(writes: false)
    guard !isCopier else { return }
    inode.copiers += 1
    isCopier = true
  }

  func isBeingCopied() throws(StorageError) -> Bool {
    try operation(writes: false)
    return inode.copiers > (isCopier ? 1 : 0)
  }

  func close() {
    if holdsLock, life === disk.life { inode.locked = false }
    if isCopier, life === disk.life { inode.copiers -= 1 }
    (holdsLock, isCopier) = (false, false)
  }
}
