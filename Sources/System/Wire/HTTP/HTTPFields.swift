/// The header fields of a message (RFC 9110 §5). They are kept as bytes, since most fields are
/// never read.
public struct HTTPFields: Sendable {
  struct Slot: Sendable {
    let name: Range<Int>
    let value: Range<Int>
  }

  let bytes: [UInt8]
  let slots: [Slot]

  /// The number of bytes held.
  var heldBytes: Int { bytes.count + slots.count * MemoryLayout<Slot>.stride }

  /// The value of the first field called `name`. The name must be in lower case.
  public subscript(name: StaticString) -> String? { slot(name).map { text($0.value) } }

  /// The values of all fields called `name`, in order. The name must be in lower case.
  public func all(_ name: StaticString) -> [String] { slots.filter { matches($0, name) }.map { text($0.value) } }

  /// Whether a field called `name` has the value `value`, in any case. Both must be in lower case.
  func has(_ name: StaticString, _ value: StaticString) -> Bool {
    guard let slot = slot(name) else { return false }
    return HTTPFieldReader.equal(bytes.span, slot.value, value)
  }

  private func slot(_ name: StaticString) -> Slot? { slots.first { matches($0, name) } }

  /// All fields in order, with names in lower case.
  public var pairs: [(name: String, value: String)] {
    slots.map { slot in
      let isLower = !bytes[slot.name].contains { $0 >= 0x41 && $0 <= 0x5A }
      return (isLower ? text(slot.name) : text(slot.name).lowercased(), text(slot.value))
    }
  }

  private func matches(_ slot: Slot, _ name: StaticString) -> Bool {
    HTTPFieldReader.equal(bytes.span, slot.name, name)
  }

  private func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }
}

/// The framing of a message (RFC 9112 §6, §9.3).
struct HTTPFraming {
  var contentLength: Int?
  var isChunked = false
  var hosts = 0
  var closes = false
  var keepsAlive = false
  var expectsContinue = false
}

/// A parser of the field lines of a head or a trailer section.
///
/// It is strict where RFC 9112 lets a recipient be lenient: each leniency is a way to smuggle a
/// request past a proxy that reads it differently. No obsolete line folding, no bare CR or LF, no
/// space before the colon, one `Content-Length`.
enum HTTPFieldReader {
  /// Maximum number of fields. More are answered with 431.
  static let maximumCount = 128

  /// Reads lines from `start` to the empty line at the end of `head`, and returns the slots.
  static func read(
    _ head: Span<UInt8>, from start: Int, framing: inout HTTPFraming
  ) throws(HTTPError) -> [HTTPFields.Slot] {
    var slots: [HTTPFields.Slot] = []
    slots.reserveCapacity(8)
    let isToken = isToken.span
    var index = start
    while head[index] != 13 {
      let nameStart = index
      while isToken[Int(head[index])] { index += 1 }
      let name = nameStart..<index
      guard !name.isEmpty, head[index] == UInt8(ascii: ":") else { throw fault(head[nameStart], head[index]) }
      index += 1
      while head[index] == 0x20 || head[index] == 0x09 { index += 1 }
      let valueStart = index
      while head[index] >= 0x20 && head[index] != 0x7F || head[index] == 0x09 { index += 1 }
      guard head[index] == 13, head[index + 1] == 10 else { throw .malformed("a control character in a field value") }
      var valueEnd = index
      while valueEnd > valueStart, head[valueEnd - 1] == 0x20 || head[valueEnd - 1] == 0x09 { valueEnd -= 1 }
      index += 2
      guard slots.count < maximumCount else { throw .headTooLarge }
      slots.append(.init(name: name, value: valueStart..<valueEnd))
      try note(head, name, valueStart..<valueEnd, &framing)
    }
    return slots
  }

  private static func fault(_ first: UInt8, _ last: UInt8) -> HTTPError {
    if first == 0x20 || first == 0x09 { return .malformed("obsolete line folding") }
    if last == 0x20 || last == 0x09 { return .malformed("white space before the colon of a field") }
    return .malformed("a field line without a valid name")
  }

  private static func note(
    _ head: Span<UInt8>, _ name: Range<Int>, _ value: Range<Int>, _ framing: inout HTTPFraming
  ) throws(HTTPError) {
    switch name.count {
    case 4 where equal(head, name, "host"):
      framing.hosts += 1
      let isHost = head.allSatisfy(in: value) {
        $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "@")
      }
      guard isHost else { throw .malformed("invalid Host") }
    case 6 where equal(head, name, "expect"):
      guard equal(head, value, "100-continue") else { throw .expectationFailed }
      framing.expectsContinue = true
    case 10 where equal(head, name, "connection"):
      var rest = value
      while !rest.isEmpty {
        let comma = head.firstIndex(in: rest) { $0 == UInt8(ascii: ",") } ?? rest.upperBound
        let option = trimmed(head, rest.lowerBound..<comma)
        if equal(head, option, "close") { framing.closes = true }
        if equal(head, option, "keep-alive") { framing.keepsAlive = true }
        rest = min(comma + 1, rest.upperBound)..<rest.upperBound
      }
    case 14 where equal(head, name, "content-length"):
      guard framing.contentLength == nil, !value.isEmpty, value.count <= 18 else {
        throw .malformed("invalid Content-Length")
      }
      var length = 0
      for index in value {
        guard head[index].isDigit else { throw .malformed("invalid Content-Length") }
        length = length * 10 + Int(head[index] - 0x30)
      }
      framing.contentLength = length
    case 17 where equal(head, name, "transfer-encoding"):
      guard !framing.isChunked, equal(head, value, "chunked") else {
        throw .malformed("Transfer-Encoding other than chunked")
      }
      framing.isChunked = true
    default: break
    }
  }

  /// The range without leading and trailing white space.
  private static func trimmed(_ head: Span<UInt8>, _ range: Range<Int>) -> Range<Int> {
    var range = range
    while let first = range.first, head[first] == 0x20 || head[first] == 0x09 { range = first + 1..<range.upperBound }
    while let last = range.last, head[last] == 0x20 || head[last] == 0x09 { range = range.lowerBound..<last }
    return range
  }

  static func equal(_ head: Span<UInt8>, _ range: Range<Int>, _ lowercase: StaticString) -> Bool {
    guard range.count == lowercase.utf8CodeUnitCount else { return false }
    let expected = lowercase.utf8Start
    for offset in 0..<range.count {
      let actual = head[range.lowerBound &+ offset]
      if (actual >= 0x41 && actual <= 0x5A ? actual | 0x20 : actual) != expected[offset] { return false }
    }
    return true
  }

  /// RFC 9110 §5.6.2.
  static let isToken: [Bool] = (0..<256).map { value in
    let byte = UInt8(value)
    return byte.isDigit || byte.isLetter && byte < 0x80 || "!#$%&'*+-.^_`|~".utf8.contains(byte)
  }
}

/// Why a message is invalid, or not accepted by this side.
public enum HTTPError: Error, Hashable, Sendable {
  /// 400: the framing or the syntax is invalid. The text says where.
  case malformed(String)
  /// 413.
  case bodyTooLarge
  /// 414.
  case targetTooLong
  /// 417: an `Expect` other than `100-continue`.
  case expectationFailed
  /// 431.
  case headTooLarge
  /// 505.
  case versionNotSupported
  /// The peer closed the stream in the middle of a message.
  case cutOff

  /// The status of the answer.
  public var status: Int {
    switch self {
    case .malformed, .cutOff: 400
    case .bodyTooLarge: 413
    case .targetTooLong: 414
    case .expectationFailed: 417
    case .headTooLarge: 431
    case .versionNotSupported: 505
    }
  }

  /// The message for the peer.
  public var reason: String {
    switch self {
    case .malformed(let what): "malformed request: \(what)"
    case .cutOff: "incomplete request"
    case .bodyTooLarge: "the body is too large"
    case .targetTooLong: "the request target is too long"
    case .expectationFailed: "only Expect: 100-continue is supported"
    case .headTooLarge: "the request line and header fields are too large"
    case .versionNotSupported: "only HTTP/1.1 and HTTP/1.0 are supported"
    }
  }
}

/// Limits of a message, in bytes.
public struct HTTPLimits: Hashable, Sendable {
  /// The start line and the fields. Larger ones are answered with 431, or 414 within the start
  /// line.
  public var head = 32 * 1024
  /// The decoded body. Larger ones are answered with 413.
  public var body = 1024 * 1024

  /// Makes the defaults of the contract.
  public init() {}
}
