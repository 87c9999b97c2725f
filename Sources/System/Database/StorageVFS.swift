import Environment
import CSQLite

/// SQLite's view of a node's `Storage`: a VFS (sqlite.org/vfs.html), methods of version 1.
///
/// Reads are verified: a checksum of each page is kept in memory from its first write or read, and
/// the first read is made twice. A bit that flips on the way from the disk is then an error and
/// never a wrong answer. Checksums inside the pages, as in SQLite's cksumvfs, would also notice a
/// bit that flips on the disk itself, but a database that an operator repaired with `sqlite3` would
/// be refused. The first sync of a file also makes its name durable.
final class StorageVFS {
  let storage: any Storage
  /// The maximum number of bytes that a file holds before they are written together.
  let longestHeld: Int
  private let pointer: UnsafeMutablePointer<sqlite3_vfs>
  private let nameBytes: UnsafeMutablePointer<CChar>
  /// The last failure of a method. It says more than SQLite's code.
  var lastFailure: StorageError?
  /// The offset of the end of the last write to the log.
  var logEnd: Int64 = 0
  /// Set when a checksum did not match.
  var foundRot = false

  var name: String { String(cString: nameBytes) }

  /// Runs once in a process, before any other call of SQLite.
  private static let configured: Int32 = parley_sqlite_configure()

  init(_ storage: any Storage, longestHeld: Int = WorkLimit.databaseWrite.standard) {
    require(Self.configured == SQLITE_OK, "SQLite refused its configuration")
    self.storage = storage
    self.longestHeld = longestHeld
    pointer = .allocate(capacity: 1)
    // SQLite finds a VFS by its name. The address of this structure is unique while it lives.
    let text = Array("parley-\(UInt(bitPattern: UnsafeRawPointer(pointer)))".utf8CString)
    nameBytes = .allocate(capacity: text.count)
    nameBytes.initialize(from: text, count: text.count)
    var vfs = sqlite3_vfs()
    vfs.iVersion = 1
    vfs.szOsFile = Int32(MemoryLayout<Handle>.size)
    vfs.mxPathname = 512
    vfs.zName = UnsafePointer(nameBytes)
    vfs.xOpen = vfsOpen
    vfs.xDelete = vfsDelete
    vfs.xAccess = vfsAccess
    vfs.xFullPathname = vfsFullPathname
    vfs.xRandomness = vfsRandomness
    vfs.xSleep = { _, microseconds in microseconds }
    vfs.xCurrentTime = { _, output in
      output!.pointee = 2_440_587.5
      return SQLITE_OK
    }
    vfs.xGetLastError = { _, _, _ in 0 }
    pointer.initialize(to: vfs)
    pointer.pointee.pAppData = Unmanaged.passUnretained(self).toOpaque()
    let status = sqlite3_vfs_register(pointer, 0)
    require(status == SQLITE_OK, "SQLite refused the VFS")
  }

  deinit {
    sqlite3_vfs_unregister(pointer)
    pointer.deallocate()
    nameBytes.deallocate()
  }

  /// Runs `work`. A storage error is kept and becomes `code`, or SQLITE_FULL.
  func attempt(_ code: Int32, _ work: () throws(StorageError) -> Void) -> Int32 {
    do throws(StorageError) {
      try work()
      return SQLITE_OK
    } catch {
      lastFailure = error
      return if case .full = error { SQLITE_FULL } else { code }
    }
  }
}

/// SQLite's extended result codes, which are macros that Swift does not import.
enum ExtendedCode {
  static let readFailed = SQLITE_IOERR | 1 << 8
  static let shortRead = SQLITE_IOERR | 2 << 8
  static let writeFailed = SQLITE_IOERR | 3 << 8
  static let syncFailed = SQLITE_IOERR | 4 << 8
  static let truncateFailed = SQLITE_IOERR | 6 << 8
  static let sizeFailed = SQLITE_IOERR | 7 << 8
  static let deleteFailed = SQLITE_IOERR | 10 << 8
  static let accessFailed = SQLITE_IOERR | 13 << 8
}

/// The memory that SQLite allocates for an open file: its header, then our object.
private struct Handle {
  var base: sqlite3_file
  var file: Unmanaged<VFSFile>?
}

private func handle(_ file: UnsafeMutablePointer<sqlite3_file>?) -> UnsafeMutablePointer<Handle> {
  UnsafeMutableRawPointer(file!).assumingMemoryBound(to: Handle.self)
}

private func opened(_ file: UnsafeMutablePointer<sqlite3_file>?) -> VFSFile {
  handle(file).pointee.file!.takeUnretainedValue()
}

private func owner(_ vfs: UnsafeMutablePointer<sqlite3_vfs>?) -> StorageVFS {
  Unmanaged<StorageVFS>.fromOpaque(vfs!.pointee.pAppData).takeUnretainedValue()
}

// MARK: The VFS's methods

private func vfsOpen(
  _ vfs: UnsafeMutablePointer<sqlite3_vfs>?, _ name: UnsafePointer<CChar>?, _ file: UnsafeMutablePointer<sqlite3_file>?,
  _ flags: Int32, _ outFlags: UnsafeMutablePointer<Int32>?
) -> Int32 {
  handle(file).pointee.base.pMethods = nil
  let owner = owner(vfs)
  // Temporary files have no name; `temp_store=memory` means that there are none.
  guard let name else { return SQLITE_CANTOPEN }
  let path = String(cString: name)
  return owner.attempt(SQLITE_CANTOPEN) { () throws(StorageError) in
    let create = flags & SQLITE_OPEN_CREATE != 0
    let isNew = create ? try !owner.storage.exists(path) : false
    let kind: VFSFile.Kind =
      flags & SQLITE_OPEN_MAIN_DB != 0 ? .database : flags & SQLITE_OPEN_WAL != 0 ? .log : .journal
    let opened = VFSFile(try owner.storage.open(path, create: create), kind: kind, isNew: isNew, owner: owner)
    handle(file).pointee.file = Unmanaged.passRetained(opened)
    handle(file).pointee.base.pMethods = ioMethods
    outFlags?.pointee = flags
  }
}

private func vfsDelete(_ vfs: UnsafeMutablePointer<sqlite3_vfs>?, _ name: UnsafePointer<CChar>?, _ sync: Int32) -> Int32
{
  let owner = owner(vfs)
  let path = String(cString: name!)
  return owner.attempt(ExtendedCode.deleteFailed) { () throws(StorageError) in
    do throws(StorageError) { try owner.storage.remove(path) } catch .notFound { return }
    if sync != 0 { try owner.storage.syncDirectory() }
  }
}

private func vfsAccess(
  _ vfs: UnsafeMutablePointer<sqlite3_vfs>?, _ name: UnsafePointer<CChar>?, _ flags: Int32,
  _ output: UnsafeMutablePointer<Int32>?
) -> Int32 {
  let owner = owner(vfs)
  return owner.attempt(ExtendedCode.accessFailed) { () throws(StorageError) in
    output!.pointee = try owner.storage.exists(String(cString: name!)) ? 1 : 0
  }
}

private func vfsFullPathname(
  _ vfs: UnsafeMutablePointer<sqlite3_vfs>?, _ name: UnsafePointer<CChar>?, _ size: Int32,
  _ output: UnsafeMutablePointer<CChar>?
) -> Int32 {
  copyText(output!, size, name!)
  return SQLITE_OK
}

private func copyText(_ output: UnsafeMutablePointer<CChar>, _ size: Int32, _ text: UnsafePointer<CChar>) {
  var index = 0
  while index < Int(size) - 1, text[index] != 0 {
    output[index] = text[index]
    index += 1
  }
  output[index] = 0
}

/// SQLite names temporary files and salts logs with this. No visible behavior depends on it.
private func vfsRandomness(
  _ vfs: UnsafeMutablePointer<sqlite3_vfs>?, _ count: Int32, _ output: UnsafeMutablePointer<CChar>?
) -> Int32 {
  output!.update(repeating: 7, count: Int(count))
  return count
}

// MARK: The methods of open files

private nonisolated(unsafe) let ioMethods: UnsafePointer<sqlite3_io_methods> = {
  var methods = sqlite3_io_methods()
  methods.iVersion = 1
  methods.xClose = { file in
    opened(file).close()
    handle(file).pointee.file?.release()
    handle(file).pointee.file = nil
    return SQLITE_OK
  }
  methods.xRead = { file, buffer, count, offset in
    opened(file).read(UnsafeMutableRawBufferPointer(start: buffer, count: Int(count)), at: offset)
  }
  methods.xWrite = { file, buffer, count, offset in
    opened(file).write(UnsafeRawBufferPointer(start: buffer, count: Int(count)), at: offset)
  }
  methods.xTruncate = { file, size in opened(file).truncate(to: size) }
  methods.xSync = { file, _ in opened(file).sync() }
  methods.xFileSize = { file, output in opened(file).size(output!) }
  methods.xLock = { file, _ in opened(file).lock() }
  // Locks are held until the file is closed: `locking_mode=exclusive`, one process to a database.
  methods.xUnlock = { _, _ in SQLITE_OK }
  methods.xCheckReservedLock = { _, output in
    output!.pointee = 0
    return SQLITE_OK
  }
  methods.xFileControl = { _, _, _ in SQLITE_NOTFOUND }
  methods.xSectorSize = { _ in 512 }
  methods.xDeviceCharacteristics = { _ in SQLITE_IOCAP_POWERSAFE_OVERWRITE }
  let pointer = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)
  pointer.initialize(to: methods)
  return UnsafePointer(pointer)
}()
