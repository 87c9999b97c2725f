/// A packet of Socket.IO, protocol 5, without its attachments: binary values are `{"_placeholder":true,"num":N}` in `data`.
public struct SocketIOPacket: Hashable, Sendable {
  /// The types, by their number on the wire.
  public enum Kind: UInt8, Sendable {
    case connect = 0
    case disconnect, event, acknowledgement, connectError, binaryEvent, binaryAcknowledgement

    var isBinary: Bool { self == .binaryEvent || self == .binaryAcknowledgement }
  }

  /// More attachments than this are refused: each is held until the last has come.
  static let maximumAttachments = 16

  /// The type.
  public var kind: Kind
  /// The namespace; `/` is the main one.
  public var namespace: String
  /// The number by which an event is acknowledged.
  public var id: Int64?
  /// The payload.
  public var data: JSONValue?
  /// How many binary messages follow.
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

  /// The packet of a text from a server, or nil when a server may not send it. A server wraps in its
  /// events what it took at a door, so the payload may be deeper than at a door.
  public init?(text: String) {
    guard let header = SocketIOHeader(text: text), let packet = try? header.packet(depth: JSONParser.innerDepth)
    else { return nil }
    self = packet
  }
}

/// A packet of Socket.IO whose payload is not parsed yet: what is needed to route it, in as many bytes as it came in.
struct SocketIOHeader: Sendable {
  /// Longer namespaces are refused.
  static let maximumNamespace = 255

  /// Why the payload of a packet cannot be used. The packets after it can.
  struct Unreadable: Error, Hashable {
    let reason: String
  }

  let kind: SocketIOPacket.Kind
  let attachments: Int
  let namespace: String
  let id: Int64?
  let payload: [UInt8]

  /// Bytes that it holds, for bounds.
  var size: Int { payload.count + namespace.utf8.count }

  /// The header of a text; nil when it breaks the protocol.
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
    // A copy at once: byte by byte it takes ten times as long.
    payload = rest.withContiguousStorageIfAvailable { Array($0) } ?? Array(rest)
  }

  /// The whole packet; its payload has at most `depth` levels, by default as many as a client may send.
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
  /// Why the payload does not fit the type; nil when it does.
  fileprivate var objection: String? {
    switch kind {
    case .connect: data == nil || data?.members != nil ? nil : "the payload of CONNECT has to be an object"
    case .disconnect: data == nil ? nil : "DISCONNECT has no payload"
    case .event, .binaryEvent:
      data?.array?.first?.string != nil ? nil : "an event has to be an array that begins with its name"
    case .acknowledgement, .binaryAcknowledgement:
      data?.array != nil && id != nil ? nil : "an acknowledgement has to be an array with a number"
    case .connectError: data?.members != nil ? nil : "the payload of CONNECT_ERROR has to be an object"
    }
  }
}
