/// One server-sent event.
public struct ServerSentEvent: Hashable, Sendable {
  /// The id of the last event that had one, this one included.
  public let id: String
  /// Its type; `message` when the stream does not say.
  public let name: String
  /// Its lines, joined.
  public let data: String
}

/// Reads a stream of server-sent events (WHATWG HTML §9.2.6): bytes in, events out.
public struct EventStreamParser: Sendable {
  /// A longer line, or more data in one event, is refused: it would be held in memory.
  static let maximumSize = 65_536

  /// Something in the stream is too long.
  public struct TooLong: Error, Sendable {}

  private var line: [UInt8] = []
  private var data: [String] = []
  private var dataSize = 0
  private var name = ""
  private var id = ""
  private var events: [ServerSentEvent] = []
  private var followsReturn = false

  /// A parser at the beginning of a stream.
  public init() {}

  /// Takes the bytes that came.
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

  /// The next event, if a whole one has come.
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
