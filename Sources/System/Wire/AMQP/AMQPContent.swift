/// The properties of a message (AMQP 0-9-1 §4.2.6.1 and the class `basic`). Their texts may have
/// any bytes, as in RabbitMQ.
public struct AMQPProperties: Hashable, Sendable {
  /// MIME type.
  public var contentType: AMQPText?
  /// MIME encoding.
  public var contentEncoding: AMQPText?
  /// Headers of the application.
  public var headers: AMQPTable?
  /// 1 for transient, 2 for persistent.
  public var deliveryMode: UInt8?
  /// From 0 to 9.
  public var priority: UInt8?
  /// An id that the answer repeats.
  public var correlationID: AMQPText?
  /// The queue for an answer.
  public var replyTo: AMQPText?
  /// Time to live in milliseconds, as text.
  public var expiration: AMQPText?
  /// The id that the application gives to the message.
  public var messageID: AMQPText?
  /// In seconds since 1970.
  public var timestamp: UInt64?
  /// The type that the application gives to the message.
  public var type: AMQPText?
  /// The user that sends it.
  public var userID: AMQPText?
  /// The application that sends it.
  public var appID: AMQPText?
  /// A reserved field (`cluster-id`), passed on as it is.
  var clusterID: AMQPText?

  /// Creates empty properties.
  public init() {}

  /// Whether a message in a durable queue survives a restart.
  var isPersistent: Bool { deliveryMode == 2 }

  /// Reads the property flags.
  static func flags(_ reader: inout AMQPReader) throws(AMQPError) -> UInt16 {
    let flags = try reader.short()
    guard flags & 1 == 0 else { throw .syntax("no more than one word of property flags is known") }
    return flags
  }

  /// Parses the property flags and the property list of a content header, after the body size.
  /// - Throws: `AMQPError` 502.
  init(_ reader: inout AMQPReader) throws(AMQPError) {
    let flags = try Self.flags(&reader)
    func has(_ bit: UInt16) -> Bool { flags >> bit & 1 == 1 }
    if has(15) { contentType = try reader.text() }
    if has(14) { contentEncoding = try reader.text() }
    if has(13) { headers = try reader.table() }
    if has(12) { deliveryMode = try reader.octet() }
    if has(11) { priority = try reader.octet() }
    if has(10) { correlationID = try reader.text() }
    if has(9) { replyTo = try reader.text() }
    if has(8) { expiration = try reader.text() }
    if has(7) { messageID = try reader.text() }
    if has(6) { timestamp = try reader.longLong() }
    if has(5) { type = try reader.text() }
    if has(4) { userID = try reader.text() }
    if has(3) { appID = try reader.text() }
    if has(2) { clusterID = try reader.text() }
  }

  /// The property flags and the property list, encoded.
  var bytes: [UInt8] {
    var writer = AMQPWriter()
    var flags: UInt16 = 0
    writer.number(flags)
    func text(_ value: AMQPText?, _ bit: UInt16) {
      guard let value else { return }
      flags |= 1 << bit
      writer.text(value)
    }
    func number(_ value: (some FixedWidthInteger)?, _ bit: UInt16) {
      guard let value else { return }
      flags |= 1 << bit
      writer.number(value)
    }
    text(contentType, 15)
    text(contentEncoding, 14)
    if let headers {
      flags |= 1 << 13
      writer.table(headers)
    }
    number(deliveryMode, 12)
    number(priority, 11)
    text(correlationID, 10)
    text(replyTo, 9)
    text(expiration, 8)
    text(messageID, 7)
    number(timestamp, 6)
    text(type, 5)
    text(userID, 4)
    text(appID, 3)
    text(clusterID, 2)
    writer.overwrite(flags, at: 0)
    return writer.bytes
  }
}

/// A method with its content.
struct AMQPCommand: Sendable {
  let channel: UInt16
  let method: AMQPMethod
  var properties: [UInt8] = []
  var body: [UInt8] = []
  /// The size of a body that was left out because it is too large.
  var omittedBytes = 0

  /// Parses the properties.
  /// - Throws: `AMQPError` 502.
  func readProperties() throws(AMQPError) -> AMQPProperties {
    var reader = AMQPReader(properties[...])
    let read = try AMQPProperties(&reader)
    try reader.end()
    return read
  }
}

/// Parses frames into commands: bytes in, commands out (AMQP 0-9-1 §2.3).
///
///     parser.receive(bytes)
///     while let event = try parser.next() { handle(event) }
///
/// Any split of the bytes gives the same events.
struct AMQPParser {
  enum Event {
    /// The protocol header, before everything else from a client.
    case greeting
    case command(AMQPCommand)
    case heartbeat
  }

  /// The largest frame, in bytes. Larger bodies have several frames.
  static let maximumFrame = 131_072
  static let protocolHeader: [UInt8] = Array("AMQP".utf8) + [0, 0, 9, 1]
  /// The largest body in bytes, unless set otherwise. A body is held in memory.
  static let maximumBody = 16 << 20

  private enum State {
    case protocolHeader
    case frames
  }

  private struct Pending {
    var command: AMQPCommand
    var size: Int?

    /// Bytes of the body that are missing.
    var rest: Int { (size ?? 0) - command.body.count - command.omittedBytes }
    /// Approximate bytes in memory.
    var held: Int { 512 + command.properties.count + command.body.count }
  }

  private var state: State
  private var buffer: [UInt8] = []
  private var start = 0
  private var pending: [UInt16: Pending] = [:]
  /// The properties of the last message, unless they are long. Messages of one client often have
  /// the same, and then share them.
  private var lastProperties: [UInt8] = []
  /// Bytes of incomplete messages on all channels.
  private(set) var bytesUnderWay = 0
  /// The largest frame to accept, in bytes.
  var frameMax = Self.maximumFrame
  /// Whether methods with content are accepted. A server accepts none before the login.
  var takesContent = true

  /// The largest body to keep, in bytes. A larger one is left out: a client cannot choose what it
  /// is sent, and a server refuses the publication alone (406), as RabbitMQ does.
  var maximumBody = Self.maximumBody
  private static let maximumOmitted = 1 << 40
  /// Bytes of properties that are kept to be shared.
  private static let maximumShared = 256

  /// Creates a parser. A server expects the protocol header first.
  init(isServer: Bool) {
    state = isServer ? .protocolHeader : .frames
  }

  mutating func receive(_ bytes: [UInt8]) {
    buffer.receive(bytes, after: &start)
  }

  /// Returns the next event, or nil when it is not complete.
  /// - Throws: `AMQPError`. The connection is unusable after it. Code 0 stands for a wrong protocol
  ///   header.
  mutating func next() throws(AMQPError) -> Event? {
    if case .protocolHeader = state {
      guard buffer.count - start >= 8 else { return nil }
      guard buffer[start..<start + 8].elementsEqual(Self.protocolHeader) else {
        throw AMQPError(0, "not AMQP 0-9-1")
      }
      start += 8
      state = .frames
      return .greeting
    }
    while true {
      guard buffer.count - start >= 7 else { return nil }
      let type = buffer[start]
      let channel = UInt16(buffer[start + 1]) << 8 | UInt16(buffer[start + 2])
      let size = (3..<7).reduce(0) { $0 << 8 | Int(buffer[start + $1]) }
      guard size <= frameMax - 8 else { throw .frame("a frame of \(size) bytes") }
      guard buffer.count - start >= size + 8 else { return nil }
      guard buffer[start + 7 + size] == 0xCE else { throw .frame("a frame without its end octet") }
      let payload = buffer[start + 7..<start + 7 + size]
      start += size + 8
      if let event = try take(type, channel, payload) { return event }
    }
  }

  private mutating func take(_ type: UInt8, _ channel: UInt16, _ payload: ArraySlice<UInt8>) throws(AMQPError) -> Event?
  {
    switch type {
    case 1:
      guard pending[channel] == nil else {
        throw AMQPError(505, "UNEXPECTED_FRAME - a method before the content of another")
      }
      let method = try AMQPMethod(parsing: payload)
      let command = AMQPCommand(channel: channel, method: method)
      guard method.hasContent else { return .command(command) }
      guard takesContent else { throw AMQPError(503, "COMMAND_INVALID - content before connection.open") }
      return goOn(Pending(command: command))
    case 2:
      guard var message = takePending(channel), message.size == nil else {
        throw AMQPError(505, "UNEXPECTED_FRAME - a header without a method")
      }
      var reader = AMQPReader(payload)
      guard try reader.short() == 60, try reader.short() == 0 else { throw .frame("a header of another class") }
      let size = try reader.longLong()
      guard size <= Self.maximumOmitted else {
        throw AMQPError(501, "FRAME_ERROR - a message of \(size) bytes")
      }
      message.size = Int(size)
      message.command.properties = shared(reader.rest)
      return goOn(message)
    case 3:
      // It is out of the dictionary, so that the body grows in place.
      guard var message = takePending(channel), let size = message.size, payload.count <= message.rest else {
        throw AMQPError(505, "UNEXPECTED_FRAME - a body without a header, or larger than announced")
      }
      if size > maximumBody {
        message.command.omittedBytes += payload.count
      } else {
        message.command.body += payload
      }
      return goOn(message)
    case 8:
      guard channel == 0 else { throw .frame("a heartbeat on a channel") }
      return .heartbeat
    default: throw .frame("unknown frame type \(type)")
    }
  }

  private mutating func shared(_ properties: ArraySlice<UInt8>) -> [UInt8] {
    guard properties.count <= Self.maximumShared else { return Array(properties) }
    if !properties.elementsEqual(lastProperties) { lastProperties = Array(properties) }
    return lastProperties
  }

  /// Returns a complete message. Otherwise the message waits for its next frame.
  private mutating func goOn(_ message: consuming Pending) -> Event? {
    if message.size != nil, message.rest == 0 { return .command(message.command) }
    bytesUnderWay += message.held
    pending[message.command.channel] = message
    return nil
  }

  private mutating func takePending(_ channel: UInt16) -> Pending? {
    guard let message = pending.removeValue(forKey: channel) else { return nil }
    bytesUnderWay -= message.held
    return message
  }
}

/// Writes commands as frames.
enum AMQPFrames {
  private static func write(
    _ type: UInt8, _ channel: UInt16, to output: inout [UInt8], payload: (inout AMQPWriter) -> Void
  ) {
    var writer = AMQPWriter(taking: &output)
    writer.number(type)
    writer.number(channel)
    writer.sized(payload)
    writer.number(UInt8(0xCE))
    output = writer.bytes
  }

  static func write(_ method: AMQPMethod, _ channel: UInt16, to output: inout [UInt8]) {
    write(1, channel, to: &output) { method.write(to: &$0) }
  }

  static func writeHeartbeat(to output: inout [UInt8]) { write(8, 0, to: &output) { _ in } }

  /// Writes a method with its content. `properties` are encoded.
  static func write(
    _ method: AMQPMethod, properties: [UInt8], body: [UInt8], _ channel: UInt16, frameMax: Int, to output: inout [UInt8]
  ) {
    write(method, channel, to: &output)
    write(2, channel, to: &output) {
      $0.number(UInt16(60))
      $0.number(UInt16(0))
      $0.number(UInt64(body.count))
      $0.raw(properties)
    }
    var rest = body[...]
    while !rest.isEmpty {
      let part = rest.prefix(frameMax - 8)
      write(3, channel, to: &output) { $0.raw(part) }
      rest = rest.dropFirst(part.count)
    }
  }
}
