/// The unread bytes of a connection, from which heads and bodies are taken.
struct HTTPMessageBuffer {
  /// Maximum size of all chunk extensions of a body, in bytes. They have no meaning here.
  static let maximumChunkOverhead = 4096

  private var bytes: [UInt8] = []
  private var start = 0
  /// How far the search for the end of the head has come.
  private var scanned = 0

  var isEmpty: Bool { start == bytes.count }
  var count: Int { bytes.count - start }
  /// The number of bytes held, including those already taken. Not the capacity of the array, which
  /// depends on the allocator.
  var heldBytes: Int { bytes.count }

  mutating func receive(_ new: [UInt8]) {
    if new.isEmpty { return }
    if isEmpty {
      bytes = new
      start = 0
      scanned = 0
    } else {
      if start > 4096 {
        bytes.removeFirst(start)
        scanned -= start
        start = 0
      }
      bytes += new
    }
  }

  /// Skips empty lines before a start line (RFC 9112 §2.2).
  mutating func skipEmptyLines() {
    while count >= 2, bytes[start] == 13, bytes[start + 1] == 10 { advance(2) }
  }

  /// Takes everything up to and including the empty line. Returns nil if it has not arrived.
  mutating func takeHead(limit: Int) throws(HTTPError) -> [UInt8]? {
    guard let end = try endOfHead(limit: limit) else { return nil }
    let head = start == 0 && end == bytes.count ? bytes : Array(bytes[start..<end])
    advance(end - start)
    return head
  }

  private mutating func endOfHead(limit: Int) throws(HTTPError) -> Int? {
    // A CR at the end is examined again, with the byte after it.
    let end = try Self.endOfHead(bytes.span, start, from: max(start, scanned - 1))
    scanned = bytes.count
    let length = (end ?? bytes.count) - start
    if length > limit {
      let hasLine = bytes[start..<min(start + limit, bytes.count)].contains(10)
      throw hasLine ? .headTooLarge : .targetTooLong
    }
    return end
  }

  /// The end of the empty line after a head that begins at `start`. Searches from `index` on.
  private static func endOfHead(_ bytes: Span<UInt8>, _ start: Int, from index: Int) throws(HTTPError) -> Int? {
    var index = nextControl(bytes, from: index)
    while index < bytes.count {
      if bytes[index] == 10 {
        if index == start || bytes[index - 1] != 13 { throw .malformed("a bare LF") }
        if index >= start + 3, bytes[index - 2] == 10 { return index + 1 }
      } else if bytes[index] == 13, index + 1 < bytes.count, bytes[index + 1] != 10 {
        throw .malformed("a bare CR")
      }
      index = nextControl(bytes, from: index + 1)
    }
    return nil
  }

  /// The index of the next byte that is at most CR (13), or the end. Examines eight bytes at once:
  /// `x - 14` borrows into the top bit of such bytes, and the first byte reported is always one.
  private static func nextControl(_ bytes: Span<UInt8>, from start: Int) -> Int {
    let ones: UInt64 = 0x0101_0101_0101_0101
    let raw = bytes.bytes
    var index = start
    while index &+ 8 <= bytes.count {
      let word = UInt64(littleEndian: raw.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self))
      let found = (word &- (ones &* 14)) & ~word & (ones &* 0x80)
      if found != 0 { return index &+ found.trailingZeroBitCount >> 3 }
      index &+= 8
    }
    while index < bytes.count, bytes[index] > 13 { index &+= 1 }
    return index
  }

  /// Takes at most `limit` bytes.
  mutating func take(atMost limit: Int) -> ArraySlice<UInt8> {
    let taken = bytes[start..<min(limit, bytes.count - start) + start]
    advance(taken.count)
    return taken
  }

  /// Takes a line without its CRLF. Returns nil if it has not arrived.
  mutating func takeLine(limit: Int) throws(HTTPError) -> ArraySlice<UInt8>? {
    guard let end = bytes[start...].firstIndex(of: 10) else {
      if count > limit + 1 { throw .malformed("unterminated line") }
      return nil
    }
    guard end > start, bytes[end - 1] == 13 else { throw .malformed("a bare LF") }
    let line = bytes[start..<end - 1]
    guard line.count <= limit else { throw .malformed("line too long") }
    guard !line.contains(13) else { throw .malformed("a bare CR") }
    advance(end + 1 - start)
    return line
  }

  private mutating func advance(_ count: Int) {
    start += count
    scanned = start
    if start == bytes.count {
      bytes = []
      start = 0
      scanned = 0
    }
  }
}

/// How a body is delimited (RFC 9112 §6.3), and how much of it has arrived.
struct HTTPBodyReader {
  private enum State {
    case fixed(left: Int)
    case chunkSize
    case chunk(left: Int)
    case chunkEnd
    case trailers
    case untilEnd
    case done
  }

  private var state: State
  private var overhead = 0
  private(set) var body: [UInt8] = []
  private let limit: Int

  /// Makes a body of `contentLength` bytes, in chunks, or up to the end of the stream.
  init(contentLength: Int?, isChunked: Bool, untilEnd: Bool = false, limit: Int) throws(HTTPError) {
    self.limit = limit
    if isChunked {
      state = .chunkSize
    } else if let contentLength {
      guard contentLength <= limit else { throw .bodyTooLarge }
      state = contentLength == 0 ? .done : .fixed(left: contentLength)
    } else {
      state = untilEnd ? .untilEnd : .done
    }
  }

  var isDone: Bool { if case .done = state { true } else { false } }
  /// Whether the end of the stream is the end of the body.
  var endsWithStream: Bool { if case .untilEnd = state { true } else { false } }

  /// Takes the available bytes. Returns true when the body is complete.
  mutating func take(from buffer: inout HTTPMessageBuffer) throws(HTTPError) -> Bool {
    while true {
      switch state {
      case .done: return true
      case .fixed(let left):
        let part = buffer.take(atMost: left)
        append(part)
        state = part.count == left ? .done : .fixed(left: left - part.count)
        if part.count < left { return false }
      case .untilEnd:
        append(buffer.take(atMost: .max))
        guard body.count <= limit else { throw .bodyTooLarge }
        return false
      case .chunkSize:
        guard let line = try buffer.takeLine(limit: 256) else { return false }
        let size = try chunkSize(line)
        guard body.count + size <= limit else { throw .bodyTooLarge }
        state = size == 0 ? .trailers : .chunk(left: size)
      case .chunk(let left):
        let part = buffer.take(atMost: left)
        append(part)
        if part.count < left {
          state = .chunk(left: left - part.count)
          return false
        }
        state = .chunkEnd
      case .chunkEnd:
        guard let line = try buffer.takeLine(limit: 0) else { return false }
        guard line.isEmpty else { throw .malformed("a chunk longer than its size") }
        state = .chunkSize
      case .trailers:
        guard let line = try buffer.takeLine(limit: 8192) else { return false }
        if line.isEmpty { state = .done } else { try trailer(line) }
      }
    }
  }

  private mutating func append(_ part: ArraySlice<UInt8>) {
    if body.isEmpty { body = Array(part) } else { body += part }
  }

  private mutating func chunkSize(_ line: ArraySlice<UInt8>) throws(HTTPError) -> Int {
    let digits = line.prefix { Hex.value($0) != nil }
    guard (1...8).contains(digits.count) else { throw .malformed("invalid chunk size") }
    let rest = line.dropFirst(digits.count)
    if let first = rest.first, first != UInt8(ascii: ";") { throw .malformed("invalid chunk size") }
    guard rest.allSatisfy({ $0 >= 0x20 && $0 < 0x7F || $0 == 0x09 }) else {
      throw .malformed("invalid chunk extension")
    }
    try spend(rest.count)
    return digits.reduce(0) { $0 << 4 | Int(Hex.value($1)!) }
  }

  private mutating func trailer(_ line: ArraySlice<UInt8>) throws(HTTPError) {
    let name = line.prefix { HTTPFieldReader.isToken[Int($0)] }
    guard !name.isEmpty, line.dropFirst(name.count).first == UInt8(ascii: ":"),
      line.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 })
    else { throw .malformed("invalid trailer") }
    try spend(line.count)
  }

  private mutating func spend(_ bytes: Int) throws(HTTPError) {
    overhead += bytes
    guard overhead <= HTTPMessageBuffer.maximumChunkOverhead else { throw .malformed("chunk extensions too long") }
  }
}
