/// A request with its body. A class, since it is passed on often and never changes.
public final class HTTPRequest: Sendable {
  private let head: RequestHead
  /// The decoded body.
  public let body: [UInt8]

  fileprivate init(_ head: consuming RequestHead, body: consuming [UInt8]) {
    self.head = head
    self.body = body
  }

  /// The method. Methods are case-sensitive (RFC 9110 §9.1).
  public var method: String { head.line.method }
  /// The path of the target, percent-encoded.
  public var path: String { head.line.path }
  /// The query of the target, percent-encoded, without the `?`.
  public var query: String? { head.line.query }
  /// The header fields.
  public var fields: HTTPFields { head.fields }
  /// The `host:port` of the request: that of an absolute target, otherwise the `Host` field (RFC
  /// 9112 §3.2.2).
  public var authority: String? { head.line.authority ?? head.fields["host"] }
  /// Whether the version is HTTP/1.0.
  var isVersion10: Bool { head.line.minorVersion == 0 }
  /// Whether the connection stays open after this request.
  public var keepsAlive: Bool { head.keepsAlive }
}

private struct RequestHead: Sendable {
  let line: RequestLine
  let fields: HTTPFields
  let keepsAlive: Bool
}

/// The server's side of HTTP/1.1 (RFC 9112): bytes in, requests out.
public struct HTTPRequestParser {
  /// A result of parsing.
  public enum Event: Sendable {
    /// The client waits for `100 Continue` before it sends the body (RFC 9110 §10.1.1).
    case expectsContinue
    /// A complete request.
    case request(HTTPRequest)
  }

  private var buffer = HTTPMessageBuffer()
  private var pending: (head: RequestHead, reader: HTTPBodyReader)?
  private let limits: HTTPLimits

  /// Makes a parser for one connection.
  public init(limits: HTTPLimits = HTTPLimits()) { self.limits = limits }

  /// Whether a request has begun and is not complete.
  public var isInsideRequest: Bool { pending != nil || !buffer.isEmpty }
  /// Whether the head of a request is complete and its body is not.
  public var isInsideBody: Bool { pending != nil }

  /// Bytes that are held of incomplete requests.
  var heldBytes: Int {
    guard let pending else { return buffer.heldBytes }
    return buffer.heldBytes + pending.head.fields.heldBytes + pending.reader.body.count
  }

  /// Appends bytes of the connection.
  public mutating func receive(_ bytes: [UInt8]) { buffer.receive(bytes) }

  /// Takes the bytes after the last request, when the connection is upgraded to another protocol.
  public mutating func takeRest() -> [UInt8] { Array(buffer.take(atMost: .max)) }

  /// Returns the next event, or nil if more bytes are needed. After an error the parser is
  /// unusable.
  public mutating func next() throws(HTTPError) -> Event? {
    if pending == nil {
      buffer.skipEmptyLines()
      guard let head = try buffer.takeHead(limit: limits.head) else { return nil }
      let (begun, reader, expectsContinue) = try begin(head)
      if reader.isDone { return .request(HTTPRequest(begun, body: [])) }
      pending = (begun, reader)
      if expectsContinue, buffer.isEmpty { return .expectsContinue }
    }
    guard try pending!.reader.take(from: &buffer), let (head, reader) = pending.take() else { return nil }
    return .request(HTTPRequest(head, body: reader.body))
  }

  private func begin(_ head: [UInt8]) throws(HTTPError) -> (RequestHead, HTTPBodyReader, expectsContinue: Bool) {
    var framing = HTTPFraming()
    let line = try RequestLine(head.span)
    let slots = try HTTPFieldReader.read(head.span, from: line.end, framing: &framing)
    if framing.hosts > 1 || framing.hosts == 0 && line.minorVersion == 1 {
      throw .malformed("exactly one Host is required")
    }
    if framing.isChunked, framing.contentLength != nil { throw .malformed("both Content-Length and Transfer-Encoding") }
    if framing.isChunked, line.minorVersion == 0 { throw .malformed("Transfer-Encoding in HTTP/1.0") }
    let keepsAlive = line.minorVersion == 1 ? !framing.closes : framing.keepsAlive && !framing.closes
    let reader = try HTTPBodyReader(
      contentLength: framing.contentLength, isChunked: framing.isChunked, limit: limits.body)
    let fields = HTTPFields(bytes: head, slots: slots)
    return (
      RequestHead(line: line, fields: fields, keepsAlive: keepsAlive), reader,
      framing.expectsContinue && line.minorVersion == 1
    )
  }
}

/// `METHOD SP target SP HTTP/1.x CRLF` (RFC 9112 §3).
private struct RequestLine: Sendable {
  var method = ""
  var path = ""
  var query: String?
  /// The parts of an absolute target.
  var authority: String?
  var minorVersion = 1
  var end = 0

  init(_ head: Span<UInt8>) throws(HTTPError) {
    var index = 0
    while HTTPFieldReader.isToken[Int(head[index])] { index += 1 }
    guard index > 0, index <= 32, head[index] == 0x20 else { throw .malformed("invalid method") }
    method = head.text(0..<index)
    index += 1
    let target = index
    while head[index] > 0x20, head[index] < 0x7F { index += 1 }
    guard index > target, head[index] == 0x20 else { throw .malformed("invalid request target") }
    try read(target: target..<index, of: head)
    index += 1
    let version = index
    while head[index] != 13 { index += 1 }
    guard index - version == 8, head.starts(version..<index, with: "HTTP/"), head[version + 5].isDigit,
      head[version + 7].isDigit,
      head[version + 6] == UInt8(ascii: ".")
    else { throw .malformed("no HTTP version") }
    guard head[version + 5] == UInt8(ascii: "1") else { throw .versionNotSupported }
    minorVersion = head[version + 7] == UInt8(ascii: "0") ? 0 : 1
    end = index + 2
  }

  private mutating func read(target: Range<Int>, of head: Span<UInt8>) throws(HTTPError) {
    var path = target
    if head[path.lowerBound] != UInt8(ascii: "/") {
      if path.count == 1, head[path.lowerBound] == UInt8(ascii: "*"), method == "OPTIONS" {
        self.path = "*"
        return
      }
      // Parses the absolute form, which a server has to accept (RFC 9112 §3.2.2).
      let schemes: [StaticString] = ["http://", "https://"]
      guard let scheme = schemes.first(where: { head.starts(path, with: $0) }) else {
        throw .malformed("invalid request target")
      }
      path = path.dropFirst(scheme.utf8CodeUnitCount)
      let slash = head.firstIndex(in: path) { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? path.upperBound
      let host = path.lowerBound..<slash
      guard !host.isEmpty, head.allSatisfy(in: host, { $0 != UInt8(ascii: "@") }) else {
        throw .malformed("invalid request target")
      }
      authority = head.text(host)
      path = slash..<path.upperBound
    }
    if let mark = head.firstIndex(in: path, where: { $0 == UInt8(ascii: "?") }) {
      query = head.text(mark + 1..<path.upperBound)
      path = path.lowerBound..<mark
    }
    self.path = path.isEmpty ? "/" : head.text(path)
  }
}
