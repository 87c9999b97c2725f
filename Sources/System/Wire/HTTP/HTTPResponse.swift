import Environment

/// A response, as a server writes it and a client reads it.
public struct HTTPResponse: Sendable {
  /// The status code.
  public var status: Int
  /// The fields in the order in which they are written, except those of the framing.
  public var fields: [(name: String, value: String)]
  /// The body.
  public var body: [UInt8]

  /// Makes a response.
  public init(status: Int, fields: [(name: String, value: String)] = [], body: [UInt8] = []) {
    self.status = status
    self.fields = fields
    self.body = body
  }

  /// The value of the first field called `name`. The name must be in lower case.
  public subscript(name: String) -> String? { fields.first { $0.name.lowercased() == name }?.value }

  /// The fields of an event stream. They ask proxies, the last one nginx, to forward each event at
  /// once.
  static let eventStreamFields: [(name: String, value: String)] = [
    ("content-type", "text/event-stream"), ("cache-control", "no-cache, no-transform"), ("x-accel-buffering", "no"),
  ]

  /// Statuses without a body (RFC 9112 §6.3).
  static func hasNoBody(_ status: Int) -> Bool { status < 200 || status == 204 || status == 304 }
}

/// The framing of a response.
enum HTTPResponseFraming {
  /// The body with its length.
  case whole
  /// The length without the body: the answer to HEAD.
  case headOnly
  /// No length: the body ends with the connection (RFC 9112 §6.3). Event streams use it.
  case untilEnd
}

/// Whether the connection stays open after a response, and how the response says so (RFC 9112
/// §9.3).
enum HTTPPersistence {
  /// It stays open: the default of HTTP/1.1.
  case persists
  /// It stays open because a client of HTTP/1.0 asked for it. The response has to say so, or the
  /// client waits for the end.
  case persistsAsAsked
  case closes
}

extension HTTPResponse {
  /// Appends the encoded response to `output`.
  func write(
    to output: inout [UInt8], framing: HTTPResponseFraming, persistence: HTTPPersistence, date: [UInt8],
    requestID: String
  ) {
    let room = fields.reduce(Self.roomForHead + date.count + requestID.utf8.count) {
      $0 + $1.name.utf8.count + $1.value.utf8.count + 4
    }
    if output.isEmpty { output.reserveCapacity(room + body.count) }
    output.append(expecting: room) { head in
      head.append("HTTP/1.1 ")
      head.append(decimal: Int64(status))
      head.append(" ")
      head.append(Self.reason(status))
      head.append("\r\ndate: ")
      head.append(date.span)
      head.append("\r\nx-request-id: ")
      head.append(utf8: requestID)
      for field in fields {
        head.append("\r\n")
        head.append(utf8: field.name)
        head.append(": ")
        head.append(utf8: field.value)
      }
      if case .untilEnd = framing {
      } else if !Self.hasNoBody(status) {
        head.append("\r\ncontent-length: ")
        head.append(decimal: Int64(body.count))
      }
      switch persistence {
      case .persists: head.append("\r\n\r\n")
      case .persistsAsAsked: head.append("\r\nconnection: keep-alive\r\n\r\n")
      case .closes: head.append("\r\nconnection: close\r\n\r\n")
      }
    }
    if case .headOnly = framing { return }
    if !Self.hasNoBody(status) { output.append(contentsOf: body) }
  }

  /// A little more than the constant parts of a head take. Allocations below 1,000 bytes are fast.
  private static let roomForHead = 136

  /// The reason phrases of RFC 9110 §15 and RFC 6585.
  static func reason(_ status: Int) -> StaticString {
    switch status {
    case 100: "Continue"
    case 101: "Switching Protocols"
    case 200: "OK"
    case 201: "Created"
    case 204: "No Content"
    case 304: "Not Modified"
    case 400: "Bad Request"
    case 401: "Unauthorized"
    case 403: "Forbidden"
    case 404: "Not Found"
    case 405: "Method Not Allowed"
    case 408: "Request Timeout"
    case 413: "Content Too Large"
    case 414: "URI Too Long"
    case 415: "Unsupported Media Type"
    case 417: "Expectation Failed"
    case 421: "Misdirected Request"
    case 426: "Upgrade Required"
    case 429: "Too Many Requests"
    case 431: "Request Header Fields Too Large"
    case 500: "Internal Server Error"
    case 503: "Service Unavailable"
    case 505: "HTTP Version Not Supported"
    default: "Unknown"
    }
  }
}

/// The client's side of HTTP/1.1: bytes in, responses out.
public struct HTTPResponseParser {
  private var buffer = HTTPMessageBuffer()
  private var pending: (head: HTTPResponse, reader: HTTPBodyReader)?
  private let limits: HTTPLimits
  /// Whether the next response answers a HEAD and so has no body.
  public var answersHead = false
  /// Whether the connection stays open after the last response.
  public private(set) var keepsAlive = true

  /// Makes a parser for one connection.
  public init(limits: HTTPLimits = HTTPLimits()) { self.limits = limits }

  /// Appends bytes of the connection.
  public mutating func receive(_ bytes: [UInt8]) { buffer.receive(bytes) }

  /// Returns the next response, or nil if more bytes are needed. Interim responses are skipped.
  public mutating func next() throws(HTTPError) -> HTTPResponse? {
    while pending == nil {
      guard let head = try buffer.takeHead(limit: limits.head) else { return nil }
      try begin(head)
    }
    guard try pending!.reader.take(from: &buffer) else { return nil }
    return finish()
  }

  /// Handles the end of the stream. Returns the last response, if the end of the stream ends its
  /// body.
  public mutating func end() throws(HTTPError) -> HTTPResponse? {
    guard let pending else {
      if buffer.isEmpty { return nil }
      throw .cutOff
    }
    guard pending.reader.endsWithStream else { throw .cutOff }
    keepsAlive = false
    return finish()
  }

  private mutating func finish() -> HTTPResponse {
    var response = pending!.head
    response.body = pending!.reader.body
    pending = nil
    return response
  }

  private mutating func begin(_ head: [UInt8]) throws(HTTPError) {
    var framing = HTTPFraming()
    let line = head.prefix { $0 != 13 }
    let parts = line.split(separator: 0x20, maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count >= 2, parts[0].count == 8, parts[0].starts(with: "HTTP/1.".utf8), parts[1].count == 3,
      let status = Int(String(decoding: parts[1], as: UTF8.self)), status >= 100
    else { throw .malformed("invalid status line") }
    let slots = try HTTPFieldReader.read(head.span, from: line.count + 2, framing: &framing)
    if status < 200 { return }
    keepsAlive = !framing.closes && parts[0].last == UInt8(ascii: "1")
    let bodiless = answersHead || HTTPResponse.hasNoBody(status)
    let reader = try HTTPBodyReader(
      contentLength: bodiless ? 0 : framing.contentLength, isChunked: framing.isChunked && !bodiless,
      untilEnd: !bodiless && framing.contentLength == nil, limit: limits.body)
    let fields = HTTPFields(bytes: head, slots: slots).pairs
    pending = (HTTPResponse(status: status, fields: fields), reader)
  }
}
