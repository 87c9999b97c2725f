/// A server-sent event.
public struct ServerSentEvent: Hashable, Sendable {
  /// The id of this event, or of the last event before it that had one.
  public let id: String
  /// The type; `message` by default.
  public let name: String
  /// The data lines, joined.
  public let data: String
}

/// A parser of server-sent events (WHATWG HTML §9.2.6): bytes in, events out.
public struct EventStreamParser: Sendable {
  /// Maximum size of a line and of the data of an event, in bytes.
  static let maximumSize = 65_536

  /// A line or an event is too long.
  public struct TooLong: Error, Sendable {}

  private var line: [UInt8] = []
  private var data: [String] = []
  private var dataSize = 0
  private var name = ""
  private var id = ""
  private var events: [ServerSentEvent] = []
  private var followsReturn = false

  /// Makes a parser at the start of a stream.
  public init() {}

  /// Appends bytes of the stream.
  public mutating func receive(_ bytes: [UInt8]) throws(TooLong) {
    for byte in bytes {
      let endsPair = followsReturn && byte == 0x0A
      followsReturn = byte == 0x0D
      if endsPair { continue }
      if byte == 0x0A || byte == 0x0D {
        try end(String(decoding: line, as: UTF8.self))
        line.removeAll(keepingCapacity: true)
      } else {
        guard line.count < Self.maximumSize else { throw TooLong() }
        line.append(byte)
      }
    }
  }

  /// Returns the next event, or nil if more bytes are needed.
  public mutating func next() -> ServerSentEvent? { events.isEmpty ? nil : events.removeFirst() }

  private mutating func end(_ line: String) throws(TooLong) {
    guard !line.isEmpty else { return dispatch() }
    let colon = line.firstIndex(of: ":")
    let field = line[..<(colon ?? line.endIndex)]
    var value = colon.map { line[line.index(after: $0)...] } ?? ""
    if value.hasPrefix(" ") { value.removeFirst() }
    switch field {
    case "data":
      dataSize += value.utf8.count + 1
      guard dataSize <= Self.maximumSize else { throw TooLong() }
      data.append(String(value))
    case "event": name = String(value)
    case "id": if !value.utf8.contains(0) { id = String(value) }
    default: break
    }
  }

  private mutating func dispatch() {
    if !data.isEmpty {
      events.append(
        ServerSentEvent(id: id, name: name.isEmpty ? "message" : name, data: data.joined(separator: "\n")))
    }
    data = []
    dataSize = 0
    name = ""
  }
}
