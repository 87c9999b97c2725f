/// The header of a write-ahead log (SQLite file format, §4.1). SQLite writes another one each time
/// it begins the log again.
struct LogHeader: Hashable, Sendable {
  /// The size in bytes.
  static let size = 32

  /// The size of a page in bytes.
  let pageSize: Int
  /// The two numbers that each frame of the log repeats.
  let firstSalt: UInt32
  let secondSalt: UInt32
  /// The number of checkpoints before this log.
  let sequence: UInt32
  fileprivate let checksum: LogChecksum

  /// Reads a header. Nil for bytes that are not a complete, valid header.
  init?(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= Self.size else { return nil }
    func word(_ offset: Int) -> UInt32 {
      UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }
    let magic = word(0)
    // The lowest bit says in which byte order the checksums read the words.
    guard magic & ~1 == 0x377F_0682, word(4) == 3_007_000 else { return nil }
    let pageSize = Int(word(8))
    guard (512...65_536).contains(pageSize), pageSize.nonzeroBitCount == 1 else { return nil }
    var checksum = LogChecksum(isBigEndian: magic & 1 == 1)
    checksum.add(UnsafeRawBufferPointer(rebasing: bytes[..<24]))
    guard checksum.first == word(24), checksum.second == word(28) else { return nil }
    self.pageSize = pageSize
    self.checksum = checksum
    sequence = word(12)
    (firstSalt, secondSalt) = (word(16), word(20))
  }

  /// The size of a frame in bytes: its header and a page.
  var frameSize: Int { LogReader.frameHeader + pageSize }
}

/// The checksum of a log's header and frames so far.
private struct LogChecksum: Hashable, Sendable {
  let isBigEndian: Bool
  var first: UInt32 = 0
  var second: UInt32 = 0

  init(isBigEndian: Bool) { self.isBigEndian = isBigEndian }

  /// Adds bytes, a multiple of 8.
  mutating func add(_ bytes: UnsafeRawBufferPointer) {
    var offset = 0
    while offset + 8 <= bytes.count {
      let a = bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
      let b = bytes.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self)
      first = first &+ (isBigEndian ? UInt32(bigEndian: a) : UInt32(littleEndian: a)) &+ second
      second = second &+ (isBigEndian ? UInt32(bigEndian: b) : UInt32(littleEndian: b)) &+ first
      offset += 8
    }
  }
}

/// Finds the commits of a write-ahead log: bytes in, the end of the last commit out.
struct LogReader: Sendable {
  static let frameHeader = 24

  let header: LogHeader
  /// The offset in the file after the last commit.
  private(set) var end: Int64 = Int64(LogHeader.size)
  private var checksum: LogChecksum

  init(_ header: LogHeader) {
    self.header = header
    checksum = header.checksum
  }

  /// A walk over the frames after the last commit.
  struct Walk {
    fileprivate var checksum: LogChecksum
    /// The offset of the next frame.
    fileprivate(set) var offset: Int64
  }

  /// Begins a walk at the end of the last commit.
  var walk: Walk { Walk(checksum: checksum, offset: end) }

  /// Reads whole frames at the walk's offset, and moves `end` with each commit. Returns false at
  /// the first frame that is not of this log: the walk ends there.
  mutating func feed(_ frames: UnsafeRawBufferPointer, _ walk: inout Walk) -> Bool {
    var offset = 0
    while offset + header.frameSize <= frames.count {
      let frame = UnsafeRawBufferPointer(rebasing: frames[offset..<offset + header.frameSize])
      func word(_ offset: Int) -> UInt32 {
        UInt32(bigEndian: frame.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
      }
      guard word(8) == header.firstSalt, word(12) == header.secondSalt else { return false }
      walk.checksum.add(UnsafeRawBufferPointer(rebasing: frame[..<8]))
      walk.checksum.add(UnsafeRawBufferPointer(rebasing: frame[Self.frameHeader...]))
      guard walk.checksum.first == word(16), walk.checksum.second == word(20) else { return false }
      offset += header.frameSize
      walk.offset += Int64(header.frameSize)
      // The frame of a commit has the size of the database after it.
      if word(4) != 0 { (end, checksum) = (walk.offset, walk.checksum) }
    }
    return offset == frames.count
  }
}
