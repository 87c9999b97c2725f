/// Decodes the bytes of one connection into messages of their protocols: HTTP, WebSocket with
/// Engine.IO and Socket.IO, AMQP. Bytes that cannot be decoded are reported as raw bytes.
public struct TrafficDecoder {
  /// A complete message.
  public struct Message: Sendable {
    /// The protocol: HTTP, Socket.IO, AMQP …
    public let layer: String
    /// One line: `POST /login`, `200`, `send_message {…}`, `USER_MESSAGE {…} by basicDeliver
    /// UME_USER_SERVER #4`.
    public let summary: String
    /// The complete text.
    public let detail: String
    /// The kind of a notable message: the name of a Socket.IO event, or the TYPE of a queue
    /// message.
    public var name: String?
    /// The data of a notable message.
    public var payload: JSONValue?
  }

  private enum Direction {
    case start
    case request(HTTPRequestParser)
    case response(HTTPResponseParser, seen: [UInt8])
    case webSocket(WebSocketParser)
    case amqp(AMQPParser)
    case events
    case raw
  }

  /// Maximum length of a text that is shown.
  private static let longest = 4000
  private static let limits: HTTPLimits = {
    var limits = HTTPLimits()
    limits.body = 16 << 20
    return limits
  }()
  private static let name = Array("AMQP".utf8)
  private var undecided: [UInt8] = []
  private var client = Direction.start
  private var server = Direction.start

  /// Makes a decoder of a new connection.
  public init() {}

  /// Decodes bytes of one side; the client is the side that connected. Returns the messages that
  /// are complete now.
  public mutating func receive(_ bytes: [UInt8], fromClient: Bool) -> [Message] {
    var bytes = bytes
    if case .start = client {
      // The first bytes of the client show the protocol.
      guard fromClient else { return [Self.raw(bytes)] }
      undecided += bytes
      guard undecided.count >= Self.name.count || !Self.name.starts(with: undecided) else { return [] }
      bytes = undecided
      undecided = []
      begin(bytes)
    }
    if fromClient {
      let messages = Self.read(bytes, &client)
      return messages
    }
    let messages = Self.read(bytes, &server)
    // After the answer to an upgrade, both sides send frames.
    if case .webSocket = server, case .request(var parser) = client {
      var next = WebSocketParser(role: .server, limit: 16 << 20)
      next.receive(parser.takeRest())
      client = .webSocket(next)
    }
    return messages
  }

  private mutating func begin(_ bytes: [UInt8]) {
    if bytes.starts(with: Self.name) {
      client = .amqp(AMQPParser(isServer: true))
      server = .amqp(AMQPParser(isServer: false))
    } else {
      client = .request(HTTPRequestParser(limits: Self.limits))
      server = .response(HTTPResponseParser(limits: Self.limits), seen: [])
    }
  }

  private static func read(_ bytes: [UInt8], _ direction: inout Direction) -> [Message] {
    switch direction {
    case .start, .raw: return [raw(bytes)]
    case .events: return [Message(layer: "SSE", summary: cut(text(bytes), 120), detail: cut(text(bytes)))]
    case .request(var parser):
      defer { if case .request = direction { direction = .request(parser) } }
      parser.receive(bytes)
      return collect(bytes, &direction) {
        guard case .request(let request)? = try parser.next() else { return nil }
        return describe(request)
      }
    case .response(let parser, let seen): return readResponse(bytes, parser, seen, &direction)
    case .webSocket(var parser):
      defer { if case .webSocket = direction { direction = .webSocket(parser) } }
      parser.receive(bytes)
      return collect(bytes, &direction) { try parser.next().map(describe) }
    case .amqp(var parser):
      defer { if case .amqp = direction { direction = .amqp(parser) } }
      parser.receive(bytes)
      return collect(bytes, &direction) {
        var event = try parser.next()
        if case .greeting? = event { event = try parser.next() }
        return switch event {
        case nil, .greeting?: nil
        case .heartbeat?: Message(layer: "AMQP", summary: "heartbeat", detail: "heartbeat")
        case .command(let command)?: describe(command)
        }
      }
    }
  }

  /// Takes all complete messages. A protocol error ends the decoding.
  private static func collect(_ bytes: [UInt8], _ direction: inout Direction, _ next: () throws -> Message?)
    -> [Message]
  {
    var messages: [Message] = []
    do {
      while let message = try next() { messages.append(message) }
    } catch {
      messages.append(Message(layer: "bytes", summary: "cannot be decoded: \(error)", detail: cut(text(bytes))))
      direction = .raw
    }
    return messages
  }

  private static func readResponse(
    _ bytes: [UInt8], _ parser: HTTPResponseParser, _ seen: [UInt8], _ direction: inout Direction
  ) -> [Message] {
    var parser = parser
    let head = seen + bytes
    let start = text(Array(head.prefix(2048))).lowercased()
    if start.hasPrefix("http/1.1 101"), let end = start.range(ofText: "\r\n\r\n") {
      var next = WebSocketParser(role: .client, limit: 16 << 20)
      next.receive(Array(head.dropFirst(end)))
      direction = .webSocket(next)
      return [Message(layer: "HTTP", summary: "101 Switching Protocols", detail: cut(text(Array(head.prefix(end)))))]
        + read([], &direction)
    }
    if start.hasPrefix("http/1.1 200"), start.contains("content-type: text/event-stream") {
      direction = .events
      return [Message(layer: "SSE", summary: "200, a stream of events", detail: cut(text(head)))]
    }
    direction = .response(parser, seen: [])
    parser.receive(bytes)
    let messages = collect(bytes, &direction) { try parser.next().map(describe) }
    if case .response = direction { direction = .response(parser, seen: messages.isEmpty ? head : []) }
    return messages
  }

  // MARK: In words

  private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

  private static func cut(_ text: String, _ limit: Int = longest) -> String {
    text.count <= limit ? text : text.prefix(limit) + " …"
  }

  private static func raw(_ bytes: [UInt8]) -> Message {
    Message(layer: "bytes", summary: "\(bytes.count) bytes", detail: cut(text(bytes)))
  }

  private static func describe(_ request: HTTPRequest) -> Message {
    let target = request.path + (request.query.map { "?" + $0 } ?? "")
    let fields = request.fields.pairs.map { "\($0.name): \($0.value)\n" }.joined()
    let packets = request.path.hasPrefix("/socket.io") && !request.body.isEmpty ? payload(request.body) : nil
    let subject = packets ?? (request.body.isEmpty ? "" : cut(text(request.body), 120))
    return Message(
      layer: "HTTP", summary: "\(request.method) \(cut(target, 80))" + (subject.isEmpty ? "" : " " + subject),
      detail: cut("\(request.method) \(target)\n\(fields)\n\(text(request.body))"))
  }

  private static func describe(_ response: HTTPResponse) -> Message {
    let fields = response.fields.map { "\($0.name): \($0.value)\n" }.joined()
    let subject = payload(response.body) ?? cut(text(response.body), 120)
    return Message(
      layer: "HTTP", summary: "\(response.status)" + (subject.isEmpty ? "" : " " + subject),
      detail: cut("\(response.status)\n\(fields)\n\(text(response.body))"))
  }

  /// The packets of a polling payload that holds more than text.
  private static func payload(_ bytes: [UInt8]) -> String? {
    guard let first = bytes.first, UInt8(ascii: "0")...UInt8(ascii: "6") ~= first,
      let packets = EngineIOPacket.payload(bytes)
    else { return nil }
    return cut(packets.map(describe).joined(separator: " · "), 300)
  }

  private static func describe(_ packet: EngineIOPacket) -> String {
    switch packet {
    case .open: "Engine.IO open"
    case .close: "Engine.IO close"
    case .ping: "ping"
    case .pong: "pong"
    case .upgrade: "upgrade"
    case .noop: "noop"
    case .message(.binary(let bytes)): "\(bytes.count) binary bytes"
    case .message(.text(let text)): SocketIOPacket(text: text).map(describe) ?? text
    }
  }

  private static func describe(_ packet: SocketIOPacket) -> String {
    let place = packet.namespace == "/" ? "" : packet.namespace + " "
    let number = packet.id.map { "#\($0) " } ?? ""
    let data = packet.data.map { cut($0.text, 200) } ?? ""
    switch packet.kind {
    case .connect: return "\(place)CONNECT"
    case .disconnect: return "\(place)DISCONNECT"
    case .connectError: return "\(place)CONNECT_ERROR \(data)"
    case .acknowledgement, .binaryAcknowledgement: return "\(place)ack \(number)\(data)"
    case .event, .binaryEvent:
      let arguments = packet.data?.array ?? []
      let rest = arguments.dropFirst().map { cut($0.text, 200) }.joined(separator: ", ")
      return "\(place)\(number)\(arguments.first?.string ?? "event") \(rest)"
    }
  }

  private static func describe(_ event: WebSocketParser.Event) -> Message {
    switch event {
    case .text(let bytes):
      let packet = EngineIOPacket(text: bytes[...])
      var message = Message(
        layer: "Socket.IO", summary: cut(packet.map(describe) ?? text(bytes), 300), detail: cut(text(bytes)))
      if case .message(.text(let text))? = packet, let news = SocketIOPacket(text: text), news.kind == .event {
        message.name = news.data?.array?.first?.string
        message.payload = news.data?.array?.dropFirst().first
      }
      return message
    case .binary(let bytes): return Message(layer: "WebSocket", summary: "\(bytes.count) binary bytes", detail: "")
    case .ping: return Message(layer: "WebSocket", summary: "ping frame", detail: "")
    case .pong: return Message(layer: "WebSocket", summary: "pong frame", detail: "")
    case .close(let code, let reason):
      return Message(layer: "WebSocket", summary: "close \(code.map { "\($0)" } ?? "") \(reason)", detail: reason)
    }
  }

  private static func describe(_ command: AMQPCommand) -> Message {
    let whole = "\(command.method)"
    let name = String(whole.prefix { $0 != "(" })
    var subject = ""
    switch command.method {
    case .basicPublish(let exchange, let key, _, _): subject = " \(exchange)/\(key)"
    case .basicDeliver(_, let tag, let redelivered, _, let key):
      subject = " \(key) #\(tag)\(redelivered ? " redelivered" : "")"
    case .basicAck(let tag, let multiple): subject = " #\(tag)\(multiple ? " and all before" : "")"
    case .queueDeclare(let queue): subject = " \(queue.queue)"
    default: break
    }
    let body = text(command.body)
    let detail = cut("channel \(command.channel): \(whole)\n\(body)")
    // The content is shown before the transport.
    if let json = try? JSONParser.parse(command.body, depth: JSONParser.innerDepth), let type = json["TYPE"]?.string {
      let data = json["DATA"].map { " " + cut($0.text, 200) } ?? ""
      var message = Message(layer: "AMQP", summary: "\(type)\(data) by \(name)\(subject)", detail: detail)
      message.name = type
      message.payload = json["DATA"]
      return message
    }
    let said = body.isEmpty ? "" : " " + cut(body, 200)
    return Message(layer: "AMQP", summary: "\(name)\(subject)\(said)", detail: detail)
  }
}

extension String {
  /// The number of bytes before the end of the first occurrence of `text`.
  fileprivate func range(ofText text: String) -> Int? {
    let (bytes, wanted) = (Array(utf8), Array(text.utf8))
    guard bytes.count >= wanted.count else { return nil }
    for start in 0...(bytes.count - wanted.count) where bytes[start..<start + wanted.count].elementsEqual(wanted) {
      return start + wanted.count
    }
    return nil
  }
}
