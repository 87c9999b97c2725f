/// An Engine.IO packet, protocol 4.
public enum EngineIOPacket: Hashable, Sendable {
  case open(String)
  case close
  case ping(String)
  case pong(String)
  case message(EngineIOMessage)
  case upgrade
  case noop

  /// The separator of the packets in a payload.
  static let separator: UInt8 = 0x1E

  /// The packet as text. Binary messages are `b` and base64, as in the polling transport.
  var text: String {
    switch self {
    case .open(let handshake): "0" + handshake
    case .close: "1"
    case .ping(let data): "2" + data
    case .pong(let data): "3" + data
    case .message(.text(let text)): "4" + text
    case .message(.binary(let bytes)): "b" + Base64.encode(bytes)
    case .upgrade: "5"
    case .noop: "6"
    }
  }

  /// Parses a packet. Nil if it is invalid.
  init?(text: ArraySlice<UInt8>) {
    guard let first = text.first else { return nil }
    let rest = text.dropFirst()
    guard let data = String(utf8: rest) else { return nil }
    switch first {
    case UInt8(ascii: "0"): self = .open(data)
    case UInt8(ascii: "1") where rest.isEmpty: self = .close
    case UInt8(ascii: "2"): self = .ping(data)
    case UInt8(ascii: "3"): self = .pong(data)
    case UInt8(ascii: "4"): self = .message(.text(data))
    case UInt8(ascii: "5") where rest.isEmpty: self = .upgrade
    case UInt8(ascii: "6") where rest.isEmpty: self = .noop
    case UInt8(ascii: "b"):
      guard let bytes = Base64.decode(rest) else { return nil }
      self = .message(.binary(bytes))
    default: return nil
    }
  }

  /// Maximum number of packets in a payload. Each costs more memory than its two bytes.
  static let maximumPacketsInPayload = 1000

  /// Parses a polling payload. Nil if a packet is invalid or there are too many.
  static func payload(_ bytes: [UInt8]) -> [EngineIOPacket]? {
    var packets: [EngineIOPacket] = []
    var rest = bytes[...]
    while true {
      let end = rest.firstIndex(of: separator) ?? rest.endIndex
      guard packets.count < maximumPacketsInPayload, let packet = EngineIOPacket(text: rest[..<end]) else { return nil }
      packets.append(packet)
      if end == rest.endIndex { return packets }
      rest = rest[(end + 1)...]
    }
  }
}

/// A message that Engine.IO carries.
public enum EngineIOMessage: Hashable, Sendable {
  case text(String)
  case binary([UInt8])

  /// The size in bytes, for limits.
  var size: Int {
    switch self {
    case .text(let text): text.utf8.count
    case .binary(let bytes): bytes.count
    }
  }
}
