/// A Socket.IO packet, protocol 5, without its attachments: `{"_placeholder":true,"num":N}` in
/// `data` stands for attachment N.
public struct SocketIOPacket: Hashable, Sendable {
  /// The packet types, by their numbers on the wire.
  public enum Kind: UInt8, Sendable {
    case connect = 0
    case disconnect, event, acknowledgement, connectError, binaryEvent, binaryAcknowledgement

    var isBinary: Bool { self == .binaryEvent || self == .binaryAcknowledgement }
  }

  /// Maximum number of attachments. All are held until the last one arrives.
  static let maximumAttachments = 16

  /// The type.
  public var kind: Kind
  /// The namespace; `/` is the default.
  public var namespace: String
  /// The number of the acknowledgement.
  public var id: Int64?
  /// The payload.
  public var data: JSONValue?
  /// The number of attachments that follow.
  public var attachments: Int

  /// Makes a packet.
  public init(_ kind: Kind, namespace: String = "/", id: Int64? = nil, data: JSONValue? = nil, attachments: Int = 0) {
    self.kind = kind
    self.namespace = namespace
    self.id = id
    self.data = data
    self.attachments = attachments
  }

  /// The packet as text.
  public var text: String {
    var bytes: [UInt8] = []
    write(to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Appends the packet as text to `output`.
  func write(to output: inout [UInt8]) {
    output.append(UInt8(ascii: "0") + kind.rawValue)
    if kind.isBinary { output += "\(attachments)-".utf8 }
    if namespace != "/" { output += (namespace + ",").utf8 }
    if let id { output.append(decimal: id) }
    data?.write(to: &output)
  }

  /// Parses a packet of a server. Nil if a server may not send it. Events contain values that a
  /// server accepted before, so the payload may be deeper than in a request.
  public init?(text: String) {
    guard let header = SocketIOHeader(text: text), let packet = try? header.packet(depth: JSONParser.innerDepth)
    else { return nil }
    self = packet
  }
}

/// A Socket.IO packet with an unparsed payload: the part that routing needs.
struct SocketIOHeader: Sendable {
  /// Maximum length of a namespace in bytes.
  static let maximumNamespace = 255

  /// Why the payload of a packet is invalid. Later packets are not affected.
  struct Unreadable: Error, Hashable {
    let reason: String
  }

  let kind: SocketIOPacket.Kind
  let attachments: Int
  let namespace: String
  let id: Int64?
  let payload: [UInt8]

  /// The size in bytes, for limits.
  var size: Int { payload.count + namespace.utf8.count }

  /// Parses the header of a packet. Nil if it is invalid.
  init?(text: String) {
    var rest = text.utf8[...]
    guard let digit = rest.popFirst(), let kind = SocketIOPacket.Kind(rawValue: digit &- UInt8(ascii: "0")) else {
      return nil
    }
    var attachments = 0
    if kind.isBinary {
      let count = rest.prefix { $0.isDigit }
      guard let number = Int(Substring(count)), number <= SocketIOPacket.maximumAttachments,
        rest.dropFirst(count.count).first == UInt8(ascii: "-")
      else { return nil }
      attachments = number
      rest = rest.dropFirst(count.count + 1)
    }
    var namespace = "/"
    if rest.first == UInt8(ascii: "/") {
      let name = rest.prefix { $0 != UInt8(ascii: ",") }
      let path = name.prefix { $0 != UInt8(ascii: "?") }
      guard path.count <= Self.maximumNamespace else { return nil }
      namespace = String(Substring(path))
      rest = rest.dropFirst(name.count + 1)
    }
    let number = rest.prefix { $0.isDigit }
    var id: Int64?
    if !number.isEmpty {
      guard let value = Int64(Substring(number)) else { return nil }
      id = value
      rest = rest.dropFirst(number.count)
    }
    self.kind = kind
    self.attachments = attachments
    self.namespace = namespace
    self.id = id
    // Copied at once: byte by byte takes ten times as long.
    payload = rest.withContiguousStorageIfAvailable { Array($0) } ?? Array(rest)
  }

  /// Parses the payload, which has at most `depth` levels.
  func packet(depth: Int = JSONParser.maximumDepth) throws(Unreadable) -> SocketIOPacket {
    var data: JSONValue?
    if !payload.isEmpty {
      do {
        data = try JSONParser.parse(payload, depth: depth)
      } catch {
        throw Unreadable(reason: "the payload is not JSON: \(error.reason)")
      }
    }
    let packet = SocketIOPacket(kind, namespace: namespace, id: id, data: data, attachments: attachments)
    if let reason = packet.objection { throw Unreadable(reason: reason) }
    return packet
  }
}

extension SocketIOPacket {
  /// Why the payload does not fit the type; nil if it does.
  fileprivate var objection: String? {
    switch kind {
    case .connect: data == nil || data?.members != nil ? nil : "the payload of CONNECT must be an object"
    case .disconnect: data == nil ? nil : "DISCONNECT has no payload"
    case .event, .binaryEvent:
      data?.array?.first?.string != nil ? nil : "an event must be an array that starts with its name"
    case .acknowledgement, .binaryAcknowledgement:
      data?.array != nil && id != nil ? nil : "an acknowledgement must be an array with a number"
    case .connectError: data?.members != nil ? nil : "the payload of CONNECT_ERROR must be an object"
    }
  }
}
