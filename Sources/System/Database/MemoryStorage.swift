import Environment
import Synchronization

/// Files in memory, for checks of databases.
final class MemoryStorage: Storage, Sendable {
  fileprivate typealias Content = Mutex<[UInt8]>

  fileprivate final class Node: Sendable {
    let bytes: Content
    init(_ bytes: [UInt8]) { self.bytes = Mutex(bytes) }
  }

  private let nodes: Mutex<[String: Node]>

  /// Makes a storage with these files.
  init(_ files: [(name: String, bytes: [UInt8])] = []) {
    nodes = Mutex(Dictionary(files.map { ($0.name, Node($0.bytes)) }) { $1 })
  }

  func open(_ path: String, create: Bool) throws(StorageError) -> any File {
    let node = nodes.withLock { nodes in
      if nodes[path] == nil, create { nodes[path] = Node([]) }
      return nodes[path]
    }
    guard let node else { throw .notFound(path) }
    return MemoryFile(node, path, in: self)
  }

  func exists(_ path: String) -> Bool { node(path) != nil }

  fileprivate func node(_ path: String) -> Node? { nodes.withLock { $0[path] } }

  func remove(_ path: String) throws(StorageError) {
    if nodes.withLock({ $0.removeValue(forKey: path) }) == nil { throw .notFound(path) }
  }

  func rename(_ path: String, to newPath: String) throws(StorageError) {
    let isThere = nodes.withLock { nodes in
      guard let node = nodes.removeValue(forKey: path) else { return false }
      nodes[newPath] = node
      return true
    }
    if !isThere { throw .notFound(path) }
  }

  func list() -> [String] { nodes.withLock { $0.keys.sorted() } }

  func syncDirectory() {}
}

/// An open file of a `MemoryStorage`.
private final class MemoryFile: File {
  private let node: MemoryStorage.Node
  private let path: String
  private let storage: MemoryStorage

  init(_ node: MemoryStorage.Node, _ path: String, in storage: MemoryStorage) {
    self.node = node
    self.path = path
    self.storage = storage
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) -> Int {
    node.bytes.withLock { bytes in
      let start = min(Int(offset), bytes.count)
      let count = min(buffer.count, bytes.count - start)
      bytes.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[start..<start + count])) }
      return count
    }
  }

  func write(_ new: UnsafeRawBufferPointer, at offset: Int64) {
    let range = Int(offset)..<Int(offset) + new.count
    let copy = Array(new)
    node.bytes.withLock { bytes in
      if bytes.count < range.upperBound {
        bytes.append(contentsOf: repeatElement(0, count: range.upperBound - bytes.count))
      }
      bytes.replaceSubrange(range, with: copy)
    }
  }

  func truncate(to size: Int64) {
    node.bytes.withLock { bytes in
      if Int(size) < bytes.count {
        bytes.removeLast(bytes.count - Int(size))
      } else {
        bytes.append(contentsOf: repeatElement(0, count: Int(size) - bytes.count))
      }
    }
  }

  func sync() {}
  func size() -> Int64 { node.bytes.withLock { Int64($0.count) } }
  func isStillNamed() -> Bool { storage.node(path) === node }
  /// One connection at a time uses a database in memory.
  func lock() {}
  func markAsBeingCopied() {}
  func isBeingCopied() -> Bool { false }
  func close() {}
}
