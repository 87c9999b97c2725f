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

  /// The packet of a text, or nil when it is none that a peer may send.
  public init?(text: String) {
    var rest = text.utf8[...]
    guard let digit = rest.popFirst(), let kind = Kind(rawValue: digit &- UInt8(ascii: "0")) else { return nil }
    var attachments = 0
    if kind.isBinary {
      let count = rest.prefix { $0.isDigit }
      guard let number = Int(Substring(count)), number <= Self.maximumAttachments,
        rest.dropFirst(count.count).first == UInt8(ascii: "-")
      else { return nil }
      attachments = number
      rest = rest.dropFirst(count.count + 1)
    }
    var namespace = "/"
    if rest.first == UInt8(ascii: "/") {
      let name = rest.prefix { $0 != UInt8(ascii: ",") }
      namespace = String(Substring(name.prefix { $0 != UInt8(ascii: "?") }))
      rest = rest.dropFirst(name.count + 1)
    }
    let number = rest.prefix { $0.isDigit }
    var id: Int64?
    if !number.isEmpty {
      guard let value = Int64(Substring(number)) else { return nil }
      id = value
      rest = rest.dropFirst(number.count)
    }
    var data: JSONValue?
    if !rest.isEmpty {
      // A copy at once: byte by byte it takes ten times as long.
      let bytes = rest.withContiguousStorageIfAvailable { Array($0) } ?? Array(rest)
      guard let value = try? JSONParser.parse(bytes) else { return nil }
      data = value
    }
    self.init(kind, namespace: namespace, id: id, data: data, attachments: attachments)
    guard isWellFormed else { return nil }
  }

  private var isWellFormed: Bool {
    switch kind {
    case .connect: data == nil || data?.members != nil
    case .disconnect: data == nil
    case .event, .binaryEvent: data?.array?.first?.string != nil
    case .acknowledgement, .binaryAcknowledgement: data?.array != nil && id != nil
    case .connectError: data?.members != nil
    }
  }
}
