/// A node's files. Every call blocks, so `System` calls it only inside `NodeExecutor.offload`.
///
/// Paths are relative to the node's data directory and hold no `..`. What survives a crash is what POSIX promises: file
/// contents up to the last `sync` of that file, and names up to the last `syncDirectory`.
public protocol Storage: Sendable {
  /// Opens a file for reading and writing; creates it when `create` is set and it is not there.
  func open(_ path: String, create: Bool) throws(StorageError) -> any File
  /// Whether there is such a file.
  func exists(_ path: String) throws(StorageError) -> Bool
  /// Removes the name; open files stay readable.
  func remove(_ path: String) throws(StorageError)
  /// Gives the file another name at once, replacing a file that has it.
  func rename(_ path: String, to newPath: String) throws(StorageError)
  /// The names of all files, sorted.
  func list() throws(StorageError) -> [String]
  /// Makes creations, removals and renames durable.
  func syncDirectory() throws(StorageError)
}

/// An open file. Offsets and sizes are in bytes. Used by one thread at a time.
public protocol File: Sendable {
  /// Reads into `buffer` from `offset`; returns how many bytes there were, fewer only at the end of the file.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(StorageError) -> Int
  /// Writes all of `bytes` at `offset`, growing the file with zeros where needed.
  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(StorageError)
  /// Returns after all that was written is durable (`fdatasync`).
  func sync() throws(StorageError)
  /// Cuts or grows the file to `size` bytes.
  func truncate(to size: Int64) throws(StorageError)
  /// The size in bytes.
  func size() throws(StorageError) -> Int64
  /// Whether the name it was opened by still means this file: false once somebody removed or replaced it.
  func isStillNamed() throws(StorageError) -> Bool
  /// Takes the file's exclusive lock, held until `close`. Throws `.locked` when another process or node has it.
  func lock() throws(StorageError)
  /// Gives the file up. Says nothing about durability. Idempotent.
  func close()
}

/// Why the disk did not do what was asked.
public enum StorageError: Error, Hashable, Sendable {
  /// There is no such file.
  case notFound(String)
  /// Another process holds the lock.
  case locked(String)
  /// No space, or over quota (ENOSPC, EDQUOT).
  case full(String)
  /// The directory or file may not be used by this process (EACCES, EROFS).
  case denied(String)
  /// The device failed (EIO and all else); the text says where and how.
  case failed(String)
  /// The node died.
  case nodeDown
}
