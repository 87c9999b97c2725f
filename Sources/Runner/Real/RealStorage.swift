import Environment
import CLinux
import Glibc

/// A directory of the file system.
package final class RealStorage: Storage, Sendable {
  private let directory: Int32
  private let path: String

  /// Opens a data directory. Creates it with mode 0700 if it does not exist.
  package init(path: String) throws(StorageError) {
    self.path = path
    if mkdir(path, 0o700) != 0, errno != EEXIST { throw Self.error(errno, path) }
    directory = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard directory >= 0 else { throw Self.error(errno, path) }
    if faccessat(directory, ".", W_OK, 0) != 0 { throw Self.error(errno, path) }
  }

  deinit { if directory >= 0 { Glibc.close(directory) } }

  package func open(_ name: String, create: Bool) throws(StorageError) -> any File {
    let descriptor = openat(directory, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT : 0), 0o600)
    guard descriptor >= 0 else { throw Self.error(errno, name) }
    return RealFile(descriptor, name, in: directory)
  }

  package func exists(_ name: String) throws(StorageError) -> Bool {
    if faccessat(directory, name, F_OK, 0) == 0 { return true }
    if errno == ENOENT { return false }
    throw Self.error(errno, name)
  }

  package func remove(_ name: String) throws(StorageError) {
    if unlinkat(directory, name, 0) != 0 { throw Self.error(errno, name) }
  }

  package func rename(_ name: String, to newName: String) throws(StorageError) {
    if renameat(directory, name, directory, newName) != 0 { throw Self.error(errno, name) }
  }

  package func list() throws(StorageError) -> [String] {
    let copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard copy >= 0, let stream = fdopendir(copy) else { throw Self.error(errno, path) }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  package func syncDirectory() throws(StorageError) {
    if fsync(directory) != 0 { throw Self.error(errno, path) }
  }

  static func error(_ code: Int32, _ name: String) -> StorageError {
    switch code {
    case ENOENT: .notFound(name)
    case ENOSPC, EDQUOT: .full(name)
    case EACCES, EPERM, EROFS: .denied("\(name): \(String(cString: strerror(code)))")
    default: .failed("\(name): \(String(cString: strerror(code)))")
    }
  }
}

/// An open file. Unchecked, since one thread uses it at a time.
final class RealFile: File, @unchecked Sendable {
  private var descriptor: Int32
  private let name: String
  private let directory: Int32

  init(_ descriptor: Int32, _ name: String, in directory: Int32) {
    self.descriptor = descriptor
    self.name = name
    self.directory = directory
  }

  deinit { close() }

  private func error() -> StorageError { RealStorage.error(errno, name) }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(StorageError) -> Int {
    var done = 0
    while done < buffer.count {
      let count = pread(descriptor, buffer.baseAddress! + done, buffer.count - done, off_t(offset) + off_t(done))
      if count == 0 { break }
      if count > 0 { done += count } else if errno != EINTR { throw error() }
    }
    return done
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(StorageError) {
    var done = 0
    while done < bytes.count {
      let count = pwrite(descriptor, bytes.baseAddress! + done, bytes.count - done, off_t(offset) + off_t(done))
      if count > 0 { done += count } else if errno != EINTR { throw error() }
    }
  }

  func sync() throws(StorageError) {
    if fdatasync(descriptor) != 0 { throw error() }
  }

  func truncate(to size: Int64) throws(StorageError) {
    if ftruncate(descriptor, off_t(size)) != 0 { throw error() }
  }

  func size() throws(StorageError) -> Int64 {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw error() }
    return Int64(status.st_size)
  }

  func isStillNamed() throws(StorageError) -> Bool {
    var own = stat()
    var named = stat()
    guard fstat(descriptor, &own) == 0 else { throw error() }
    guard fstatat(directory, name, &named, AT_SYMLINK_NOFOLLOW) == 0 else {
      if errno == ENOENT { return false }
      throw error()
    }
    return own.st_ino == named.st_ino && own.st_dev == named.st_dev
  }

  /// The first of the bytes that SQLite locks (`PENDING_BYTE`), and their number.
  private static let lockedRange = (start: off_t(0x4000_0000), length: off_t(512))

  /// Locks the bytes that SQLite locks with an open-file-description lock. So the `sqlite3` tool
  /// reports that the database is locked, and cannot remove the log of a running service.
  func lock() throws(StorageError) {
    guard try acquire(Int16(F_WRLCK), at: Self.lockedRange) else { throw .locked(name) }
  }

  /// The byte after those of SQLite. A copier holds a shared lock on it, which ends with the
  /// copier.
  private static let copiedRange = (start: lockedRange.start + lockedRange.length, length: off_t(1))

  func markAsBeingCopied() throws(StorageError) {
    guard try acquire(Int16(F_RDLCK), at: Self.copiedRange) else { throw .locked(name) }
  }

  func isBeingCopied() throws(StorageError) -> Bool {
    var range = Self.range(Int16(F_WRLCK), Self.copiedRange)
    guard parley_test_lock(descriptor, &range) == 0 else { throw error() }
    return range.l_type != Int16(F_UNLCK)
  }

  /// Acquires a lock. Returns false if another process holds one that excludes it.
  private func acquire(_ type: Int16, at place: (start: off_t, length: off_t)) throws(StorageError) -> Bool {
    var range = Self.range(type, place)
    if parley_lock(descriptor, &range) == 0 { return true }
    if errno == EAGAIN || errno == EACCES { return false }
    throw error()
  }

  private static func range(_ type: Int16, _ place: (start: off_t, length: off_t)) -> flock {
    var range = flock()
    range.l_type = type
    range.l_whence = Int16(SEEK_SET)
    range.l_start = place.start
    range.l_len = place.length
    return range
  }

  func close() {
    guard descriptor >= 0 else { return }
    Glibc.close(descriptor)
    descriptor = -1
  }
}
