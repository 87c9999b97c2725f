import Environment

/// A WebSocket client. One task reads and one writes.
final class WebSocketClient: @unchecked Sendable {
  private let environment: Environment
  private let connection: any Connection
  private var parser = WebSocketParser(role: .client, limit: 16 << 20)

  private init(_ environment: Environment, _ connection: any Connection) {
    self.environment = environment
    self.connection = connection
  }

  /// Connects and performs the opening handshake.
  static func connect(_ environment: Environment, _ address: SocketAddress, _ target: String) async throws
    -> WebSocketClient
  {
    let deadline = environment.clock.now + .seconds(20)
    let connection = try await environment.network.connect(to: address, deadline: deadline)
    let client = WebSocketClient(environment, connection)
    do {
      try await client.shakeHands(address, target, deadline)
      return client
    } catch {
      connection.reset()
      throw error
    }
  }

  private func shakeHands(_ address: SocketAddress, _ target: String, _ deadline: Instant) async throws {
    let key = Base64.encode(environment.entropy.bytes(16))
    let request = """
      GET \(target) HTTP/1.1\r
      host: \(address)\r
      connection: Upgrade\r
      upgrade: websocket\r
      sec-websocket-version: 13\r
      sec-websocket-key: \(key)\r
      \r

      """
    try await connection.write(Array(request.utf8), deadline: deadline)
    var head = HTTPMessageBuffer()
    while true {
      let bytes = try await connection.read(atMost: 65_536, deadline: deadline)
      if bytes.isEmpty { throw NetworkError.closed }
      head.receive(bytes)
      guard let whole = try head.takeHead(limit: 32_768) else { continue }
      let status = Int(String(decoding: whole.dropFirst(9).prefix(3), as: UTF8.self)) ?? 0
      guard status == 101, Self.accepts(whole, key) else { throw EngineIOClient.Failure.refused(status) }
      parser.receive(Array(head.take(atMost: .max)))
      return
    }
  }

  /// Whether the head of a response accepts the key (RFC 6455 §4.1).
  private static func accepts(_ head: [UInt8], _ key: String) -> Bool {
    let name = Array("sec-websocket-accept:".utf8)
    let answer = WebSocketHandshake.accept(key).utf8
    return head.split(separator: UInt8(ascii: "\n")).contains { line in
      // The two cases of a letter differ in one bit, which the hyphen and the colon have set.
      line.count > name.count && zip(line, name).allSatisfy { $0 | 0x20 == $1 }
        && line.dropFirst(name.count).filter { $0 > 0x20 }.elementsEqual(answer)
    }
  }

  /// Returns the next event, or nil at the end of the stream.
  func next(patience: Duration = .seconds(60)) async throws -> WebSocketParser.Event? {
    while true {
      if let event = try parser.next() { return event }
      let bytes = try await connection.read(atMost: 65_536, deadline: environment.clock.now + patience)
      if bytes.isEmpty { return nil }
      parser.receive(bytes)
    }
  }

  func send(_ opcode: WebSocketOpcode, _ payload: [UInt8]) async throws {
    var output: [UInt8] = []
    WebSocketFrame.write(opcode, payload, mask: environment.entropy.bytes(4), to: &output)
    try await connection.write(output, deadline: environment.clock.now + .seconds(20))
  }

  func reset() { connection.reset() }
}
