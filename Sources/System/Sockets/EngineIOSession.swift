import Environment

/// A Socket.IO packet, encoded once for both transports and all recipients.
final class EncodedMessage: Sendable {
  /// The Engine.IO packet in a WebSocket frame of a server.
  let frame: [UInt8]
  private let start: Int

  init(_ packet: SocketIOPacket) {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(256)
    bytes.append(UInt8(ascii: "4"))
    packet.write(to: &bytes)
    var frame: [UInt8] = []
    frame.reserveCapacity(bytes.count + 10)
    WebSocketFrame.write(.text, bytes, to: &frame)
    self.frame = frame
    start = frame.count - bytes.count
  }

  /// An event with its offset as one more argument.
  init(_ event: EncodedMessage, offset: EventOffset) {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(event.packet.count + 40)
    bytes += event.packet.dropLast()
    bytes += ",\"\(offset.text)\"]".utf8
    var frame: [UInt8] = []
    frame.reserveCapacity(bytes.count + 10)
    WebSocketFrame.write(.text, bytes, to: &frame)
    self.frame = frame
    start = frame.count - bytes.count
  }

  /// The Engine.IO packet.
  var packet: ArraySlice<UInt8> { frame[start...] }
}

/// An Engine.IO session: its transport and its queued packets. Used on the server's actor only.
final class EngineIOSession {
  enum Transport {
    case polling
    case webSocket(WebSocketLink)
  }

  let id: String
  /// The query of the request that opened the session.
  let query: [(name: String, value: String)]
  var transport = Transport.polling
  /// The WebSocket of an upgrade that is not complete, and whether its probe was answered.
  var probing: WebSocketLink?
  var isProbed = false
  var isClosed = false
  /// The memory that the session holds.
  let memory: SessionMemory
  var heartbeat = Heartbeat()
  /// The polling request that waits for packets.
  var poll: UnsafeContinuation<[UInt8], Never>?
  enum Item {
    case packet(EngineIOPacket)
    case encoded(EncodedMessage)

    var bytes: [UInt8] {
      switch self {
      case .packet(let packet): Array(packet.text.utf8)
      case .encoded(let message): Array(message.packet)
      }
    }

    var size: Int {
      switch self {
      case .packet(.message(let message)): message.size
      case .packet: 8
      case .encoded(let message): message.packet.count
      }
    }
  }

  private var packets: [Item] = []
  private var bytes = 0
  private let options: EngineIOOptions

  init(
    _ id: String, query: [(name: String, value: String)], options: EngineIOOptions, memory: SessionMemory
  ) {
    self.id = id
    self.query = query
    self.options = options
    self.memory = memory
  }

  var hasPackets: Bool { !packets.isEmpty }

  func uses(_ link: WebSocketLink) -> Bool { if case .webSocket(let own) = transport { own === link } else { false } }

  /// Queues a packet or a message. Returns false if too many wait.
  func enqueue(_ item: Item) -> Bool {
    let size = item.size
    guard packets.count < options.maximumBacklogPackets, bytes + size <= options.maximumBacklogBytes,
      memory.charge(size)
    else { return false }
    packets.append(item)
    bytes += size
    return true
  }

  func takeAll() -> [Item] {
    let all = packets
    memory.release(bytes)
    packets = []
    bytes = 0
    return all
  }

  /// Takes as many packets as fit into a payload, at least one and at most `maximum`.
  func takePayload(limit: Int, packets maximum: Int) -> [UInt8] {
    var output: [UInt8] = []
    var count = 0
    for packet in packets {
      let text = packet.bytes
      if count == maximum || count > 0 && output.count + 1 + text.count > limit { break }
      if count > 0 { output.append(EngineIOPacket.separator) }
      output += text
      bytes -= packet.size
      memory.release(packet.size)
      count += 1
    }
    packets.removeFirst(count)
    return output
  }

  /// Answers the waiting polling request, if there is one.
  func answerPoll(_ packets: [EngineIOPacket]) {
    answerPoll(Array(packets.map(\.text).joined(separator: "\u{1E}").utf8))
  }

  func answerPoll(_ bytes: [UInt8]) {
    poll?.resume(returning: bytes)
    poll = nil
  }
}
