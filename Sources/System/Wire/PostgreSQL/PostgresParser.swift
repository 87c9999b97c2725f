/// The unread bytes of a connection, from which packets are taken.
struct PostgresPackets {
  /// The largest packet before the login, in bytes: PostgreSQL's bound for a start-up packet is
  /// 10,000, for an answer to a demand 65,535, and its own messages are shorter.
  static let maximumBeforeLogin = 65_536
  /// The largest packet after the login, in bytes. A value is bounded by what its writer was
  /// allowed, far less than this.
  static let maximum = 64 << 20

  private var buffer: [UInt8] = []
  private var start = 0
  /// The largest packet to accept.
  var limit = Self.maximumBeforeLogin

  /// The number of bytes that are not taken yet.
  var count: Int { buffer.count - start }

  mutating func receive(_ bytes: [UInt8]) {
    buffer.receive(bytes, after: &start)
  }

  /// Takes the next byte.
  mutating func byte() -> UInt8? {
    guard count > 0 else { return nil }
    defer { start += 1 }
    return buffer[start]
  }

  /// Takes a packet with a type of one byte; nil until it is complete. The length is refused when
  /// it arrives, so that nobody waits for a packet that is too large.
  mutating func typed() throws(PostgresProtocolError) -> (type: UInt8, payload: ArraySlice<UInt8>)? {
    guard count > 0 else { return nil }
    let type = buffer[start]
    guard let payload = try packet(after: 1) else { return nil }
    return (type, payload)
  }

  /// Takes a packet without a type.
  mutating func untyped() throws(PostgresProtocolError) -> ArraySlice<UInt8>? { try packet(after: 0) }

  private mutating func packet(after offset: Int) throws(PostgresProtocolError) -> ArraySlice<UInt8>? {
    guard count >= offset + 4 else { return nil }
    let place = start + offset
    let length = (0..<4).reduce(0) { $0 << 8 | Int(buffer[place + $1]) }
    guard length >= 4 else { throw PostgresProtocolError("a message of \(length) bytes") }
    guard length <= limit else {
      throw PostgresProtocolError("a message of \(length) bytes, and at most \(limit) are accepted")
    }
    guard count >= offset + length else { return nil }
    start = place + length
    return buffer[place + 4..<start]
  }
}

/// Reads the server's messages, as a client does. Feed it with `receive`, then pull with `next`.
public struct PostgresBackendParser: Sendable {
  private var packets = PostgresPackets()

  /// Creates a parser of a new connection, for packets as they may be before the login.
  public init() {}

  /// Accepts packets of any size that a server may send after the login.
  mutating func loggedIn() { packets.limit = PostgresPackets.maximum }

  /// The number of bytes that wait for the rest of their message.
  var bytesUnderWay: Int { packets.count }

  /// Takes bytes of the server.
  public mutating func receive(_ bytes: [UInt8]) { packets.receive(bytes) }

  /// Takes one byte: the answer to an SSLRequest has no other form.
  mutating func byte() -> UInt8? { packets.byte() }

  /// Returns the next message, or nil when it is not complete.
  /// - Throws: `PostgresProtocolError`. The connection is unusable after it.
  public mutating func next() throws(PostgresProtocolError) -> PostgresBackendMessage? {
    guard let packet = try packets.typed() else { return nil }
    return try PostgresBackendMessage(type: packet.type, payload: packet.payload)
  }
}

/// Reads the client's messages, as a server does. The first packets have no type: at most one
/// SSLRequest and one GSSENCRequest, then a start-up or a CancelRequest.
public struct PostgresFrontendParser: Sendable {
  private var packets = PostgresPackets()
  private var isStarted = false

  /// Creates a parser of a new connection, for packets as they may be before the login.
  public init() {}

  /// Accepts packets of any size that a client may send after the login.
  public mutating func loggedIn() { packets.limit = PostgresPackets.maximum }

  /// The number of bytes that are not read yet. A server that has agreed to TLS refuses a client
  /// that has sent more than its request.
  public var bytesUnderWay: Int { packets.count }

  /// Takes bytes of the client.
  public mutating func receive(_ bytes: [UInt8]) { packets.receive(bytes) }

  /// Returns the next message, or nil when it is not complete.
  /// - Throws: `PostgresProtocolError`. The connection is unusable after it.
  public mutating func next() throws(PostgresProtocolError) -> PostgresFrontendMessage? {
    if isStarted {
      guard let packet = try packets.typed() else { return nil }
      return try PostgresFrontendMessage(type: packet.type, payload: packet.payload)
    }
    guard let payload = try packets.untyped() else { return nil }
    let message = try PostgresFrontendMessage(startup: payload)
    if case .startup = message { isStarted = true }
    return message
  }
}
