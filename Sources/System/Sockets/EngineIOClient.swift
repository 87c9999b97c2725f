import Environment

/// A client of Engine.IO 4 over polling, WebSocket, or the upgrade between them. One task sends and
/// one receives.
public actor EngineIOClient {
  /// The transport of a session.
  public enum Transport: String, Sendable, CaseIterable {
    case polling, webSocket, upgrading
  }

  /// The reason why there is no session, or why it ended.
  public enum Failure: Error, Hashable, Sendable {
    /// The server answered the handshake with this status.
    case refused(Int)
    /// The session ended.
    case closed(String)
  }

  /// Maximum number of messages that wait to be received. More end the session.
  private static let maximumInbox = 100_000
  /// The same limit in bytes.
  private static let maximumInboxBytes = 64 << 20

  private let environment: Environment
  private let address: SocketAddress
  private let path: String
  private let transport: Transport
  private let serialExecutor: ActorExecutor
  private let poster: HTTPClient
  private let poller: HTTPClient
  private var patience: Duration = .seconds(60)
  private var id = ""
  private var socket: WebSocketClient?
  private var isUpgrading = false
  private var outbox: [EngineIOPacket] = []
  private var inbox = FIFO<EngineIOMessage>()
  private var inboxBytes = 0
  private var receiver: UnsafeContinuation<Void, Never>?
  private var ending: Failure?

  /// The executor of the environment.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  /// The id that the server chose for the session; empty before the session is open.
  public var sessionID: String { id }

  /// Makes a client of the server at `address`. `path` ends with a slash, and may have a query
  /// after it.
  public init(_ environment: Environment, address: SocketAddress, path: String, transport: Transport) {
    self.environment = environment
    self.address = address
    self.path = path
    self.transport = transport
    serialExecutor = environment.executor.forActor("engine-io-client")
    sendingChanged = Gate()
    poster = HTTPClient(environment, address: address)
    poller = HTTPClient(environment, address: address)
  }

  private func target(_ transport: String) -> String {
    let join = path.utf8.contains(UInt8(ascii: "?")) ? "&" : "?"
    return "\(path)\(join)EIO=4&transport=\(transport)" + (id.isEmpty ? "" : "&sid=\(id)")
  }

  // MARK: Opening

  /// Opens the session. With `upgrading`, messages use polling at once and WebSocket as soon as it
  /// works.
  public func open() async throws {
    if transport == .webSocket {
      let socket = try await WebSocketClient.connect(environment, address, target("websocket"))
      guard ending == nil else {
        socket.reset()
        throw ending!
      }
      self.socket = socket
      do {
        guard case .text(let bytes)? = try await socket.next(),
          case .open(let handshake)? = EngineIOPacket(text: bytes[...])
        else { throw Failure.closed("the handshake is missing") }
        try take(handshake: handshake)
      } catch {
        socket.reset()
        throw error
      }
      environment.executor.spawn("engine-io-reader") { await self.readSocket(socket) }
      return
    }
    let response = try await poller.send("GET", target("polling"), timeout: .seconds(20))
    guard response.status == 200 else { throw Failure.refused(response.status) }
    guard let packets = EngineIOPacket.payload(response.body), case .open(let handshake)? = packets.first else {
      throw Failure.closed("the handshake is missing")
    }
    try take(handshake: handshake)
    for packet in packets.dropFirst() { await take(packet) }
    environment.executor.spawn("engine-io-poller") { await self.pollAll() }
    if transport == .upgrading { environment.executor.spawn("engine-io-upgrade") { await self.upgrade() } }
  }

  /// Limits of the heartbeat times that a server may announce, in milliseconds.
  private static let times: ClosedRange<Int64> = 0...4_294_967_295

  private func take(handshake: String) throws {
    guard let value = try? JSONParser.parse(Array(handshake.utf8)), let id = value["sid"]?.string,
      let interval = value["pingInterval"]?.int, let timeout = value["pingTimeout"]?.int,
      Self.times.contains(interval), Self.times.contains(timeout),
      (1...255).contains(id.utf8.count), PercentEncoding.encode(id) == id
    else { throw Failure.closed("invalid handshake") }
    self.id = id
    // A server that sends nothing for this long is gone.
    patience = .milliseconds(interval + timeout)
  }

  // MARK: Receiving

  /// Returns the next message.
  /// - Throws: `Failure.closed` after the session has ended and all earlier messages were received.
  public func receive() async throws -> EngineIOMessage {
    while inbox.isEmpty {
      if let ending { throw ending }
      require(receiver == nil, "two tasks receive from one client")
      await withUnsafeContinuation { receiver = $0 }
    }
    let message = inbox.popFirst()!
    inboxBytes -= message.size
    return message
  }

  private func take(_ packet: EngineIOPacket) async {
    switch packet {
    case .message(let message):
      inbox.append(message)
      inboxBytes += message.size
      if inbox.count > Self.maximumInbox || inboxBytes > Self.maximumInboxBytes {
        return end("too many messages wait to be received")
      }
      wake()
    case .ping(let data): await post(.pong(data))
    case .close: end("the server closed")
    case .noop, .pong, .open, .upgrade: break
    }
  }

  private func wake() {
    receiver?.resume()
    receiver = nil
  }

  private func end(_ reason: String) {
    guard ending == nil else { return }
    ending = .closed(reason)
    poster.abandon()
    poller.abandon()
    socket?.reset()
    candidate?.reset()
    sendingChanged.open()
    wake()
  }

  private func pollAll() async {
    while ending == nil, socket == nil {
      do {
        let response = try await poller.send("GET", target("polling"), timeout: patience)
        guard response.status == 200, let packets = EngineIOPacket.payload(response.body) else {
          if socket == nil { end("polling failed with status \(response.status)") }
          return
        }
        for packet in packets { await take(packet) }
        // The upgrade waits until no message is in flight by polling.
        if isUpgrading { return await finishUpgrade() }
      } catch {
        return end("polling failed: \(error)")
      }
    }
  }

  private func readSocket(_ socket: WebSocketClient) async {
    do {
      while ending == nil, let event = try await socket.next(patience: patience) {
        switch event {
        case .text(let bytes):
          guard let packet = EngineIOPacket(text: bytes[...]) else { return end("invalid packet") }
          await take(packet)
        case .binary(let bytes): await take(.message(.binary(bytes)))
        case .ping(let data): try await socket.send(.pong, data)
        case .pong: break
        case .close(let code, let reason): return end("the WebSocket closed: \(code ?? 0) \(reason)")
        }
      }
      end("the WebSocket ended")
    } catch {
      end("the WebSocket failed: \(error)")
    }
  }

  // MARK: Upgrading

  private var candidate: WebSocketClient?

  private func upgrade() async {
    do {
      let socket = try await WebSocketClient.connect(environment, address, target("websocket"))
      try await socket.send(.text, Array("2probe".utf8))
      guard case .text(let answer)? = try await socket.next(), answer == Array("3probe".utf8), ending == nil else {
        return socket.reset()
      }
      candidate = socket
      isUpgrading = true
    } catch {
      // Polling continues: the upgrade is optional.
    }
  }

  /// Completes the upgrade. Called when no polling request is in flight. Queued packets then use
  /// the WebSocket.
  private func finishUpgrade() async {
    guard let socket = candidate else { return }
    do {
      let deadline = environment.clock.now + Self.postTimeout
      while isPosting {
        guard await sendingChanged.wait(until: deadline, in: environment) else { throw NetworkError.timedOut }
      }
      try await socket.send(.text, Array("5".utf8))
      if ending != nil { return socket.reset() }
      self.socket = socket
      candidate = nil
      isUpgrading = false
      sendingChanged.open()
      let waiting = outbox
      outbox = []
      for packet in waiting { try await write(packet, socket) }
      if ending != nil { return socket.reset() }
      environment.executor.spawn("engine-io-reader") { await self.readSocket(socket) }
    } catch {
      end("the upgrade failed: \(error)")
    }
  }

  // MARK: Sending

  private var isPosting = false
  /// Opened when a POST, the upgrade or the session ends.
  private let sendingChanged: Gate

  /// Sends a message. Returns when it is on its way, not when it has arrived.
  public func send(_ message: EngineIOMessage) async throws {
    if let ending { throw ending }
    await post(.message(message))
    if let ending { throw ending }
  }

  private func post(_ packet: EngineIOPacket) async {
    guard ending == nil else { return }
    outbox.append(packet)
    if isPosting || isUpgrading { return }
    isPosting = true
    defer {
      isPosting = false
      sendingChanged.open()
    }
    do {
      while !outbox.isEmpty, ending == nil, !isUpgrading {
        if let socket {
          try await write(outbox.removeFirst(), socket)
        } else {
          try await postBatch()
        }
      }
    } catch {
      end("sending failed: \(error)")
    }
  }

  private func write(_ packet: EngineIOPacket, _ socket: WebSocketClient) async throws {
    if case .message(.binary(let bytes)) = packet { return try await socket.send(.binary, bytes) }
    try await socket.send(.text, Array(packet.text.utf8))
  }

  private func postBatch() async throws {
    let batch = outbox.prefix(16)
    outbox.removeFirst(batch.count)
    let body = Array(batch.map(\.text).joined(separator: "\u{1E}").utf8)
    let head =
      "POST \(target("polling")) HTTP/1.1\r\nhost: \(address)\r\ncontent-type: text/plain;charset=UTF-8\r\ncontent-length: \(body.count)\r\n\r\n"
    let response = try await poster.send(Array(head.utf8) + body, timeout: Self.postTimeout)
    guard response.status == 200 else { throw Failure.closed("a POST failed with status \(response.status)") }
  }

  private static let postTimeout: Duration = .seconds(20)
  /// Maximum time for packets in flight before the session ends.
  private static let closing: Duration = .seconds(5)

  /// Sends the packets in flight, and closes the session.
  public func close() async {
    guard ending == nil else { return }
    let deadline = environment.clock.now + Self.closing
    await post(.close)
    // A POST or the upgrade may still be in flight.
    while ending == nil, isPosting || isUpgrading, await sendingChanged.wait(until: deadline, in: environment) {}
    end("closed by this side")
  }

  /// Ends the session without a close packet, as a power failure does.
  public func abandon() { end("abandoned") }
}
