/// A node's files. Every call may block, so `System` calls them only inside `NodeExecutor.offload`.
///
/// Paths are relative to the node's data directory and do not contain `..`. After a crash, POSIX
/// guarantees the contents of each file up to its last `sync`, and names up to the last
/// `syncDirectory`.
public protocol Storage: Sendable {
  /// Opens a file for reading and writing. Creates it if `create` is true and it does not exist.
  func open(_ path: String, create: Bool) throws(StorageError) -> any File
  /// Whether the file exists.
  func exists(_ path: String) throws(StorageError) -> Bool
  /// Removes a file's name. Open files stay usable.
  func remove(_ path: String) throws(StorageError)
  /// Renames a file atomically, and replaces a file that has the new name.
  func rename(_ path: String, to newPath: String) throws(StorageError)
  /// Returns the names of all files, sorted.
  func list() throws(StorageError) -> [String]
  /// Makes creations, removals and renames durable.
  func syncDirectory() throws(StorageError)
}

/// An open file. Offsets and sizes are in bytes. One thread may use it at a time.
public protocol File: Sendable {
  /// Fills `buffer` with the bytes at `offset`, and returns their number, which is smaller only at
  /// the end of the file.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(StorageError) -> Int
  /// Writes all of `bytes` at `offset`. A gap after the old end of the file reads as zeros.
  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(StorageError)
  /// Makes all writes to the file durable (`fdatasync`).
  func sync() throws(StorageError)
  /// Truncates or extends the file to `size` bytes.
  func truncate(to size: Int64) throws(StorageError)
  /// Returns the size in bytes.
  func size() throws(StorageError) -> Int64
  /// Whether the file still has the name under which it was opened. False after that file was
  /// removed or replaced.
  func isStillNamed() throws(StorageError) -> Bool
  /// Acquires the file's exclusive lock until `close`.
  /// - Throws: `.locked` if another process or node holds it.
  func lock() throws(StorageError)
  /// Marks the file as being copied until `close`. Any number of processes may do so, beside the
  /// one that holds the lock.
  func markAsBeingCopied() throws(StorageError)
  /// Whether another process or node is copying the file.
  func isBeingCopied() throws(StorageError) -> Bool
  /// Closes the file, without a sync. Idempotent.
  func close()
}

/// An error of the disk.
public enum StorageError: Error, Hashable, Sendable {
  /// The file does not exist.
  case notFound(String)
  /// Another process holds the lock.
  case locked(String)
  /// The disk or the quota is full (ENOSPC, EDQUOT).
  case full(String)
  /// The process may not use the directory or the file (EACCES, EPERM, EROFS).
  case denied(String)
  /// Any other error, such as EIO. The text has the file and the cause.
  case failed(String)
  /// The node has crashed.
  case nodeDown
}
