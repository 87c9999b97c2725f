/// The opcodes of RFC 6455 §5.2.
enum WebSocketOpcode: UInt8, Sendable {
  case continuation = 0
  case text = 1
  case binary = 2
  case close = 8
  case ping = 9
  case pong = 10

  var isControl: Bool { rawValue >= 8 }
}

/// A violation of RFC 6455, with its close code (§7.4.1).
public struct WebSocketError: Error, Hashable, Sendable {
  /// 1002 for a protocol error, 1007 for invalid data, 1009 for a message that is too large.
  public let code: UInt16
  /// The reason in the close frame.
  public let reason: String

  static func violation(_ reason: String) -> WebSocketError { WebSocketError(code: 1002, reason: reason) }
}

/// An encoder of frames.
enum WebSocketFrame {
  /// Appends a frame to `output`. Clients provide a `mask`.
  static func write(
    _ opcode: WebSocketOpcode, _ payload: some Collection<UInt8>, isFinal: Bool = true, mask: [UInt8]? = nil,
    to output: inout [UInt8]
  ) {
    output.append((isFinal ? 0x80 : 0) | opcode.rawValue)
    let masked: UInt8 = mask == nil ? 0 : 0x80
    switch payload.count {
    case ..<126: output.append(masked | UInt8(payload.count))
    case ..<65_536:
      output.append(masked | 126)
      output.append(UInt8(payload.count >> 8))
      output.append(UInt8(payload.count & 255))
    default:
      output.append(masked | 127)
      for shift in stride(from: 56, through: 0, by: -8) { output.append(UInt8(payload.count >> shift & 255)) }
    }
    guard let mask else {
      output.append(contentsOf: payload)
      return
    }
    output.append(contentsOf: mask)
    for (index, byte) in payload.enumerated() { output.append(byte ^ mask[index & 3]) }
  }

  /// The payload of a close frame.
  static func closePayload(_ code: UInt16, _ reason: String) -> [UInt8] {
    [UInt8(code >> 8), UInt8(code & 255)] + reason.utf8.prefix(123)
  }
}

/// The opening handshake (RFC 6455 §4.2).
enum WebSocketHandshake {
  private static let magic = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

  /// The value of `Sec-WebSocket-Accept`.
  static func accept(_ key: String) -> String { Base64.encode(Cryptography.sha1(Array((key + magic).utf8))) }
}
