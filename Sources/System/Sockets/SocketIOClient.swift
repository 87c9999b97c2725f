import Environment

/// A client of Socket.IO 5 over an `EngineIOClient`. One task sends and one receives.
public actor SocketIOClient {
  /// A packet that arrived.
  public enum Event: Sendable {
    /// The answer to CONNECT. `recovery` is its `pid`, if the client asked for recovery.
    case connected(namespace: String, id: String, recovery: String?)
    /// A CONNECT_ERROR.
    case refused(namespace: String, message: String)
    case event(namespace: String, name: String, SocketPayload)
    case acknowledged(namespace: String, id: Int64, SocketPayload)
    case disconnected(namespace: String)
  }

  private let engine: EngineIOClient
  private let serialExecutor: ActorExecutor
  private var nextID: Int64 = 0

  /// The executor of the environment.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  /// Makes a client of the server at `address`.
  public init(
    _ environment: Environment, address: SocketAddress, path: String = "/socket.io/",
    transport: EngineIOClient.Transport
  ) {
    engine = EngineIOClient(environment, address: address, path: path, transport: transport)
    serialExecutor = environment.executor.forActor("socket-io-client")
  }

  /// Opens the session and asks for a namespace. `receive` returns the answer.
  public func connect(namespace: String = "/", auth: JSONValue? = nil) async throws {
    try await engine.open()
    try await join(namespace, auth: auth)
  }

  /// Asks for another namespace in the same session.
  public func join(_ namespace: String, auth: JSONValue? = nil) async throws {
    try await engine.send(.text(SocketIOPacket(.connect, namespace: namespace, data: auth).text))
  }

  /// Sends a packet without its attachments.
  public func send(_ packet: SocketIOPacket) async throws { try await engine.send(.text(packet.text)) }

  /// Sends an attachment of the previous packet.
  public func send(attachment: [UInt8]) async throws { try await engine.send(.binary(attachment)) }

  /// The id of the Engine.IO session; empty before it is open.
  public var sessionID: String { get async { await engine.sessionID } }

  /// Sends an event. With `acknowledged`, returns the number of its acknowledgement. `numbered`
  /// receives it before the event is sent, since the acknowledgement may arrive before this
  /// returns.
  @discardableResult
  public func emit(
    _ name: String, _ payload: SocketPayload, namespace: String = "/", acknowledged: Bool = false,
    numbered: @Sendable (Int64) -> Void = { _ in }
  ) async throws -> Int64? {
    var id: Int64?
    if acknowledged {
      id = nextID
      numbered(nextID)
      nextID += 1
    }
    let count = payload.attachments.count
    let packet = SocketIOPacket(
      count > 0 ? .binaryEvent : .event, namespace: namespace, id: id,
      data: .array([.string(name)] + payload.arguments),
      attachments: count)
    try await engine.send(.text(packet.text))
    for bytes in payload.attachments { try await engine.send(.binary(bytes)) }
    return id
  }

  /// Returns the next event.
  /// - Throws: `EngineIOClient.Failure.closed` after the session has ended.
  public func receive() async throws -> Event {
    while true {
      guard case .text(let text) = try await engine.receive(), let packet = SocketIOPacket(text: text) else {
        await engine.abandon()
        throw EngineIOClient.Failure.closed("not a Socket.IO packet")
      }
      var attachments: [[UInt8]] = []
      while attachments.count < packet.attachments {
        guard case .binary(let bytes) = try await engine.receive() else {
          await engine.abandon()
          throw EngineIOClient.Failure.closed("an attachment is missing")
        }
        attachments.append(bytes)
      }
      if let event = Self.event(packet, attachments) { return event }
    }
  }

  private static func event(_ packet: SocketIOPacket, _ attachments: [[UInt8]]) -> Event? {
    let namespace = packet.namespace
    switch packet.kind {
    case .connect:
      return .connected(
        namespace: namespace, id: packet.data?["sid"]?.string ?? "", recovery: packet.data?["pid"]?.string)
    case .connectError: return .refused(namespace: namespace, message: packet.data?["message"]?.string ?? "")
    case .disconnect: return .disconnected(namespace: namespace)
    case .event, .binaryEvent:
      guard let array = packet.data?.array, let name = array.first?.string else { return nil }
      return .event(namespace: namespace, name: name, SocketPayload(Array(array.dropFirst()), attachments: attachments))
    case .acknowledgement, .binaryAcknowledgement:
      guard let id = packet.id, let array = packet.data?.array else { return nil }
      return .acknowledged(namespace: namespace, id: id, SocketPayload(array, attachments: attachments))
    }
  }

  /// Closes the session.
  public func close() async { await engine.close() }
  /// Ends the session without a close packet.
  public func abandon() async { await engine.abandon() }
}
