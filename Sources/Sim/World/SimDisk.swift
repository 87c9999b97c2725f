import Environment

/// The disk of a node. It survives crashes, but data that was not synced may be lost or torn. It
/// can fail, fill up, be slow and flip bits.
///
/// Contents are durable after `sync` of the file, and names after `syncDirectory`, as in POSIX.
/// After a failed sync the pages count as clean although they were not written: the next sync
/// succeeds and does not write them (Rebello et al., "Can Applications Recover from fsync
/// Failures?", ATC 2020).
final class SimDisk: Storage, @unchecked Sendable {
  /// The unit of an atomic write, in bytes.
  static let sector = 512

  /// A file: its contents as the running node reads them, and as they are on the platter.
  final class Inode {
    var content: [UInt8] = []
    /// Changes that are not on the platter, in order.
    var pending: [Change] = []
    /// The contents of the platter if they are not `content` without the pending changes, after a
    /// failed sync.
    var lost: [UInt8]?
    var locked = false
    /// The number of open files that mark it as being copied.
    var copiers = 0
  }

  /// A change, and the bytes that it replaced or removed.
  struct Change {
    enum Kind {
      case write(Range<Int>)
      case truncate(Int)
    }
    let kind: Kind
    let size: Int
    let replaced: [UInt8]
  }

  let node: String
  var faults = DiskFaults()
  /// The life that uses the disk, or nil while the node is dead. Then every operation throws.
  var life: Life?
  /// Called when a fault strikes.
  var onTrouble: () -> Void = {}
  private(set) var names: [String: Inode] = [:]
  private(set) var durableNames: [String: Inode] = [:]
  private let stream: ChoiceStream
  private let trace: Trace
  /// The number of writes and syncs after which the node dies, so that a crash lands inside a
  /// commit.
  private var operationsUntilCrash: Int?
  private var crash: (() -> Void)?

  init(node: String, stream: ChoiceStream, trace: Trace) {
    self.node = node
    self.stream = stream
    self.trace = trace
  }

  // MARK: Crashes

  /// Kills the node after `operations` more writes and syncs.
  func armCrash(after operations: Int, _ crash: @escaping () -> Void) {
    operationsUntilCrash = operations
    self.crash = crash
  }

  func disarmCrash() {
    operationsUntilCrash = nil
    crash = nil
  }

  /// Loses unsynced data: each pending change survives as a whole, in some of its sectors, or not
  /// at all.
  func losePower() {
    for name in names.keys.sorted() where durableNames[name] !== names[name] {
      // A name that was not synced may survive.
      if stream.chance(0.5) { durableNames[name] = names[name] }
    }
    for name in durableNames.keys.sorted() where names[name] == nil {
      if stream.chance(0.5) { durableNames[name] = nil }
    }
    names = durableNames
    for name in names.keys.sorted() {
      let inode = names[name]!
      var durable = inode.durable
      for change in inode.pending { tear(change, of: inode.content, to: &durable) }
      inode.pending = []
      inode.content = durable
      inode.lost = nil
    }
    forgetHandles()
  }

  /// Handles the death of the process. The page cache survives.
  func loseProcess() { forgetHandles() }

  private func forgetHandles() {
    for name in names.keys.sorted() {
      names[name]?.locked = false
      names[name]?.copiers = 0
    }
    disarmCrash()
  }

  private func tear(_ change: Change, of content: [UInt8], to durable: inout [UInt8]) {
    let fate = stream.choose(faults.tears ? 3 : 2)
    guard fate > 0 else { return }
    switch change.kind {
    case .truncate(let size): durable.resize(to: size)
    case .write(let range):
      var position = range.lowerBound
      while position < range.upperBound {
        let end = min(range.upperBound, (position / Self.sector + 1) * Self.sector)
        if fate == 1 || stream.chance(0.5) { durable.take(position..<end, of: content) }
        position = end
      }
    }
  }

  // MARK: Storage

  func open(_ path: String, create: Bool) throws(StorageError) -> any File {
    try operation(path, writes: create && names[path] == nil)
    if let inode = names[path] { return SimFile(path, inode, on: self) }
    guard create else { throw .notFound(path) }
    let inode = Inode()
    names[path] = inode
    return SimFile(path, inode, on: self)
  }

  func exists(_ path: String) throws(StorageError) -> Bool {
    try operation(path, writes: false)
    return names[path] != nil
  }

  func remove(_ path: String) throws(StorageError) {
    try operation(path, writes: true)
    guard names.removeValue(forKey: path) != nil else { throw .notFound(path) }
  }

  func rename(_ path: String, to newPath: String) throws(StorageError) {
    try operation(path, writes: true)
    guard let inode = names.removeValue(forKey: path) else { throw .notFound(path) }
    names[newPath] = inode
  }

  func list() throws(StorageError) -> [String] {
    try operation("", writes: false)
    return names.keys.sorted()
  }

  func syncDirectory() throws(StorageError) {
    try operation("", writes: true)
    durableNames = names
  }

  // MARK: Faults

  /// Checks that the node is alive, draws faults, and adds the time of the operation. Other jobs
  /// may run before an operation that changes something.
  func operation(_ path: String, writes: Bool, syncs: Bool = false) throws(StorageError) {
    guard let life, life.isAlive else { throw .nodeDown }
    let work = life.scheduler.blockingWork
    if writes {
      work.pause()
      guard life.isAlive else { throw .nodeDown }
    }
    if writes, let left = operationsUntilCrash {
      if left > 0 {
        operationsUntilCrash = left - 1
      } else {
        let crash = crash
        disarmCrash()
        crash?()
        throw .nodeDown
      }
    }
    work.spend(syncs ? stream.duration(faults.syncLatency) : .microseconds(1))
    if faults.slowness > 0, stream.chance(faults.slowness) {
      work.spend(stream.duration(.milliseconds(50)...(.seconds(1))))
    }
    let failure = syncs ? faults.failingSyncs : writes ? faults.failingWrites : faults.failingReads
    if stream.chance(failure) {
      faults.failed += 1
      onTrouble()
      trace.event(.diskFault, node, value: 5, "EIO \(path)")
      throw .failed("\(path): input/output error (EIO)")
    }
  }

  /// The bytes of all files, which count against the limit.
  var used: Int { names.reduce(0) { $0 + $1.value.content.count } }

  func grow(_ path: String, by bytes: Int) throws(StorageError) {
    guard bytes > 0, let limit = faults.byteLimit, used + bytes > limit else { return }
    faults.filled += 1
    onTrouble()
    trace.event(.diskFault, node, value: 28, "ENOSPC \(path)")
    throw .full("\(path): no space left on device (ENOSPC)")
  }

  /// Flips one bit of a read at random. The platter stays right.
  func rot(_ buffer: UnsafeMutableRawBufferPointer, _ path: String) {
    guard !buffer.isEmpty, stream.chance(faults.rot) else { return }
    let bit = stream.choose(buffer.count * 8)
    buffer[bit / 8] ^= 1 << UInt8(bit % 8)
    faults.rotted += 1
    onTrouble()
    trace.event(.diskFault, node, value: UInt64(bit), "bit rot in \(path)")
  }

  func noteWrite(_ path: String, _ count: Int, at offset: Int) {
    trace.event(.diskWrite, node, value: UInt64(count), "\(path) \(count) bytes at \(offset)")
  }

  func noteSync(_ path: String) { trace.event(.diskSync, node, path) }
}

/// The faults of a disk, and how often they struck.
public struct DiskFaults: Sendable {
  /// Probability of EIO for each read.
  public var failingReads = 0.0
  /// Probability of EIO for each write.
  public var failingWrites = 0.0
  /// Probability of EIO for each sync.
  public var failingSyncs = 0.0
  /// Probability that a read has one wrong bit.
  public var rot = 0.0
  /// Probability that an operation is very slow.
  public var slowness = 0.0
  /// The capacity in bytes, or nil for no limit.
  public var byteLimit: Int?
  /// Whether an unsynced write may survive in part.
  public var tears = true
  /// Duration of a sync.
  public var syncLatency: ClosedRange<Duration> = .microseconds(200)...(.milliseconds(2))

  /// The number of operations that failed.
  public internal(set) var failed = 0
  /// The number of operations that found the disk full.
  public internal(set) var filled = 0
  /// The number of reads with a wrong bit.
  public internal(set) var rotted = 0

  /// Ends all faults. The counts stay.
  public mutating func mend() {
    (failingReads, failingWrites, failingSyncs, rot, slowness) = (0, 0, 0, 0, 0)
    byteLimit = nil
  }
}

extension SimDisk.Inode {
  /// The contents of the platter.
  var durable: [UInt8] {
    if let lost { return lost }
    var bytes = content
    for change in pending.reversed() {
      switch change.kind {
      case .write(let range):
        bytes.replaceSubrange(range.lowerBound..<range.lowerBound + change.replaced.count, with: change.replaced)
        bytes.resize(to: change.size)
      case .truncate(let size):
        bytes.resize(to: min(size, change.size))
        bytes += change.replaced
      }
    }
    return bytes
  }

  func write(_ bytes: UnsafeRawBufferPointer, to range: Range<Int>) {
    let size = content.count
    let overwritten = range.clamped(to: 0..<size)
    pending.append(SimDisk.Change(kind: .write(range), size: size, replaced: Array(content[overwritten])))
    if range.lowerBound == size {
      content.append(contentsOf: bytes)
    } else {
      if size < range.upperBound { content.resize(to: range.upperBound) }
      content.withUnsafeMutableBytes { UnsafeMutableRawBufferPointer(rebasing: $0[range]).copyMemory(from: bytes) }
    }
  }

  func truncate(to size: Int) {
    let cut = Array(content[min(size, content.count)...])
    pending.append(SimDisk.Change(kind: .truncate(size), size: content.count, replaced: cut))
    content.resize(to: size)
  }

  /// Marks all pending changes as written.
  func persist() {
    if var durable = lost {
      lost = nil
      for change in pending {
        switch change.kind {
        case .write(let range): durable.take(range, of: content)
        case .truncate(let size): durable.resize(to: size)
        }
      }
      lost = durable
    }
    pending.removeAll(keepingCapacity: true)
  }

  /// Drops the pending changes as a failed sync does: they count as written.
  func losePending() {
    lost = durable
    pending = []
  }
}

extension [UInt8] {
  mutating func resize(to size: Int) {
    if size < count { removeLast(count - size) } else { append(contentsOf: repeatElement(0, count: size - count)) }
  }

  /// Copies a range of `other`.
  fileprivate mutating func take(_ range: Range<Int>, of other: [UInt8]) {
    let range = range.clamped(to: 0..<other.count)
    if count < range.upperBound { resize(to: range.upperBound) }
    replaceSubrange(range, with: other[range])
  }
}
