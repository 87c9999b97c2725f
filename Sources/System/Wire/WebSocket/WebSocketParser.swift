/// A parser of one direction of a WebSocket (RFC 6455): bytes in, messages out. Every violation
/// throws, with its close code.
public struct WebSocketParser: Sendable {
  /// The side that reads. Servers accept masked frames only, clients unmasked ones (§5.1).
  public enum Role: Sendable { case server, client }

  /// A result of parsing.
  public enum Event: Hashable, Sendable {
    /// A complete text message in valid UTF-8.
    case text([UInt8])
    /// A complete binary message.
    case binary([UInt8])
    case ping([UInt8])
    case pong([UInt8])
    /// A close frame. No event follows it.
    case close(code: UInt16?, reason: String)
  }

  private struct Frame {
    let opcode: WebSocketOpcode
    let isFinal: Bool
    let mask: SIMD4<UInt8>
    var left: Int
    var position = 0
  }

  private let role: Role
  private let limit: Int
  private var buffer: [UInt8] = []
  private var start = 0
  private var frame: Frame?
  /// The incomplete message, across its fragments.
  private var message: [UInt8] = []
  private var messageOpcode: WebSocketOpcode?
  private var text = UTF8Stream()
  private var control: [UInt8] = []
  private var isClosed = false

  /// Makes a parser for messages of at most `limit` bytes.
  public init(role: Role, limit: Int) {
    self.role = role
    self.limit = limit
  }

  /// Bytes that are held of incomplete frames and messages.
  var held: Int { buffer.count - start + message.count + control.count }

  /// Appends bytes of the connection.
  public mutating func receive(_ bytes: [UInt8]) {
    if start == buffer.count {
      buffer = bytes
      start = 0
    } else {
      buffer.removeFirst(start)
      start = 0
      buffer += bytes
    }
  }

  /// Returns the next event, or nil if more bytes are needed. After an error or a close frame, no
  /// event follows.
  public mutating func next() throws(WebSocketError) -> Event? {
    while !isClosed {
      if frame == nil {
        guard let header = try takeHeader() else { return nil }
        frame = header
      }
      try takePayload()
      guard frame!.left == 0 else { return nil }
      let done = frame!
      frame = nil
      if let event = try finish(done) { return event }
    }
    return nil
  }

  // MARK: Headers

  private mutating func takeHeader() throws(WebSocketError) -> Frame? {
    let available = buffer.count - start
    guard available >= 2 else { return nil }
    let (first, second) = (buffer[start], buffer[start + 1])
    guard first & 0x70 == 0 else { throw .violation("reserved bits are set") }
    guard let opcode = WebSocketOpcode(rawValue: first & 0x0F) else { throw .violation("a reserved opcode") }
    let isFinal = first & 0x80 != 0
    let isMasked = second & 0x80 != 0
    guard isMasked == (role == .server) else { throw .violation(isMasked ? "a masked frame" : "an unmasked frame") }
    let short = Int(second & 0x7F)
    if opcode.isControl {
      guard isFinal else { throw .violation("a fragmented control frame") }
      guard short < 126 else { throw .violation("a control frame of more than 125 bytes") }
    } else {
      try checkOrder(opcode)
    }
    let extended = short == 126 ? 2 : short == 127 ? 8 : 0
    guard available >= 2 + extended + (isMasked ? 4 : 0) else { return nil }
    let length = try self.length(short, extended)
    if !opcode.isControl, length > limit - message.count {
      throw WebSocketError(code: 1009, reason: "message too large")
    }
    start += 2 + extended
    var mask: SIMD4<UInt8> = .zero
    if isMasked {
      mask = SIMD4(buffer[start], buffer[start + 1], buffer[start + 2], buffer[start + 3])
      start += 4
    }
    return Frame(opcode: opcode, isFinal: isFinal, mask: mask, left: length)
  }

  private func checkOrder(_ opcode: WebSocketOpcode) throws(WebSocketError) {
    if opcode == .continuation {
      guard messageOpcode != nil else { throw .violation("a continuation without a message") }
    } else {
      guard messageOpcode == nil else { throw .violation("a message within a fragmented message") }
    }
  }

  /// The length has to be in its shortest form (§5.2).
  private func length(_ short: Int, _ extended: Int) throws(WebSocketError) -> Int {
    guard extended > 0 else { return short }
    var length: UInt64 = 0
    for offset in 0..<extended { length = length << 8 | UInt64(buffer[start + 2 + offset]) }
    guard length >= (extended == 2 ? 126 : 65_536) else { throw .violation("a length in a longer form than needed") }
    guard length < 1 << 63 else { throw .violation("a length with its highest bit set") }
    return Int(length)
  }

  // MARK: Payloads

  private mutating func takePayload() throws(WebSocketError) {
    let count = min(frame!.left, buffer.count - start)
    guard count > 0 else { return }
    let (mask, position) = (frame!.mask, frame!.position)
    var part = Array(buffer[start..<start + count])
    if role == .server {
      for index in part.indices { part[index] ^= mask[(position + index) & 3] }
    }
    start += count
    frame!.left -= count
    frame!.position += count
    if frame!.opcode.isControl {
      control += part
      return
    }
    if frame!.opcode != .continuation, position == 0 { messageOpcode = frame!.opcode }
    if messageOpcode == .text, !text.take(part) { throw WebSocketError(code: 1007, reason: "invalid UTF-8") }
    if message.isEmpty { message = part } else { message += part }
  }

  private mutating func finish(_ frame: Frame) throws(WebSocketError) -> Event? {
    if frame.opcode.isControl { return try finishControl(frame) }
    if frame.opcode != .continuation { messageOpcode = frame.opcode }
    guard frame.isFinal else { return nil }
    let whole = message
    let isText = messageOpcode == .text
    message = []
    messageOpcode = nil
    guard isText else { return .binary(whole) }
    guard text.isComplete else { throw WebSocketError(code: 1007, reason: "text ends within a character") }
    text = UTF8Stream()
    return .text(whole)
  }

  private mutating func finishControl(_ frame: Frame) throws(WebSocketError) -> Event {
    let payload = control
    control = []
    switch frame.opcode {
    case .ping: return .ping(payload)
    case .pong: return .pong(payload)
    default:
      isClosed = true
      guard !payload.isEmpty else { return .close(code: nil, reason: "") }
      guard payload.count >= 2 else { throw .violation("a close code of one byte") }
      let code = UInt16(payload[0]) << 8 | UInt16(payload[1])
      guard Self.isCloseCode(code) else { throw .violation("invalid close code") }
      guard let reason = String(utf8: payload[2...]) else {
        throw WebSocketError(code: 1007, reason: "close reason is not UTF-8")
      }
      return .close(code: code, reason: reason)
    }
  }

  /// The codes that may be sent (§7.4).
  private static func isCloseCode(_ code: UInt16) -> Bool {
    switch code {
    case 1000...1003, 1007...1014, 3000...4999: true
    default: false
    }
  }
}
