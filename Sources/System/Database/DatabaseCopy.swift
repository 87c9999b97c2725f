import Environment

/// Why a database could not be copied.
public enum CopyError: Error, Hashable, Sendable {
  /// The log began again while the database was being copied.
  case overtaken(String)
  /// A disk failed.
  case storage(StorageError)
}

/// A copy of a database that a service may be writing, as one of its commits left it.
///
/// The copy needs no help from the service. The file is copied first, then the log up to its last
/// commit. Between two beginnings of the log, only checkpoints write to the file, and only pages
/// that are in the log, which therefore replaces whatever the copy of the file has of them. If the
/// log has begun again, its header has changed, and the copy is void. The service avoids this while
/// the file is marked as being copied.
public final class DatabaseCopy {
  /// Bytes that are read at once.
  private static let chunk = 1 << 18

  /// The name of the file, in both directories.
  public let path: String
  private let source: any Storage
  private let file: any File
  private let log: (any File)?
  private let target: any File
  private let targetLog: any File
  private let header: LogHeader?
  private var reader: LogReader?
  /// The length of the copied log.
  private var copied: Int64 = 0
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: DatabaseCopy.chunk, alignment: 16)

  /// Copies the file and the log. `follow` adds later commits.
  public init(_ path: String, from source: any Storage, to destination: any Storage) throws(CopyError) {
    self.path = path
    self.source = source
    do throws(StorageError) {
      file = try source.open(path, create: false)
      try file.markAsBeingCopied()
      let logPath = path + "-wal"
      log = try source.exists(logPath) ? try source.open(logPath, create: false) : nil
      target = try destination.open(path, create: true)
      targetLog = try destination.open(logPath, create: true)
      header = try Self.header(of: log, buffer)
      reader = header.map(LogReader.init)
      try target.truncate(to: 0)
      try targetLog.truncate(to: 0)
      try Self.copy(file, from: 0, to: target, buffer)
    } catch {
      throw .storage(error)
    }
    _ = try follow()
  }

  deinit {
    close()
    buffer.deallocate()
  }

  /// Copies the commits since the last call. Returns whether there were any.
  public func follow() throws(CopyError) -> Bool {
    do throws(StorageError) {
      if try isStillTheSame() { return try copyCommits() }
    } catch {
      throw .storage(error)
    }
    throw .overtaken(path)
  }

  /// Whether the files are those that `init` opened, and the log has not begun again.
  private func isStillTheSame() throws(StorageError) -> Bool {
    guard try file.isStillNamed() else { return false }
    guard let log else { return try !source.exists(path + "-wal") }
    guard try log.isStillNamed() else { return false }
    return try Self.header(of: log, buffer) == header
  }

  private func copyCommits() throws(StorageError) -> Bool {
    guard var reader, let log else { return false }
    let frameSize = reader.header.frameSize
    let frames = UnsafeMutableRawBufferPointer(rebasing: buffer[..<(Self.chunk / frameSize * frameSize)])
    var walk = reader.walk
    let start = reader.end
    while true {
      let whole = try log.read(into: frames, at: walk.offset) / frameSize * frameSize
      if whole == 0 || !reader.feed(UnsafeRawBufferPointer(rebasing: frames[..<whole]), &walk) { break }
    }
    guard reader.end > start || copied == 0 else { return false }
    // A log that has become shorter has another header, which the next call notices.
    copied = try Self.copy(log, from: copied, through: reader.end, to: targetLog, buffer)
    self.reader = reader
    return true
  }

  /// Copies a range of a file. Returns the offset of its end, which is lower if the file is
  /// shorter.
  @discardableResult
  private static func copy(
    _ file: any File, from start: Int64, through end: Int64 = .max, to target: any File,
    _ buffer: UnsafeMutableRawBufferPointer
  ) throws(StorageError) -> Int64 {
    var offset = start
    while offset < end {
      let wanted = UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(min(Int64(buffer.count), end - offset))])
      let count = try file.read(into: wanted, at: offset)
      if count == 0 { break }
      try target.write(UnsafeRawBufferPointer(rebasing: wanted[..<count]), at: offset)
      offset += Int64(count)
    }
    return offset
  }

  private static func header(of log: (any File)?, _ buffer: UnsafeMutableRawBufferPointer) throws(StorageError)
    -> LogHeader?
  {
    guard let log else { return nil }
    let count = try log.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<LogHeader.size]), at: 0)
    return LogHeader(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
  }

  /// Makes the copy durable. Its directory is synced by the caller.
  public func finish() throws(CopyError) {
    do throws(StorageError) {
      try target.sync()
      try targetLog.sync()
    } catch {
      throw .storage(error)
    }
    close()
  }

  private func close() {
    for file in [file, log, target, targetLog].compactMap(\.self) { file.close() }
  }
}
