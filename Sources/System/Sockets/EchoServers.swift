import Environment

/// Echo servers for the conformance suites of Engine.IO and WebSocket.
public enum EchoServers {
  /// Engine.IO at `/engine.io/`.
  public static func engine(_ environment: Environment, _ options: EngineIOOptions) -> [Route] {
    let server = EngineIOServer(environment, options, layer: EchoLayer())
    return EngineIORoutes.table(server, path: "/engine.io/", for: NoApplication())
  }

  /// The echo has no application above it.
  private struct NoApplication: Sendable {}

  private final class EchoLayer: EngineIOLayer {
    func opened(
      _ session: EngineIOSession, for application: NoApplication, on engine: isolated EngineIOServer<EchoLayer>
    ) {}
    func closed(_ session: EngineIOSession, reason: String, on engine: isolated EngineIOServer<EchoLayer>) {}

    func received(
      _ message: EngineIOMessage, from session: EngineIOSession, on engine: isolated EngineIOServer<EchoLayer>
    ) {
      engine.send(.packet(.message(message)), to: session)
    }
  }

  /// WebSocket at `/echo`, for messages of at most 16 MiB.
  public static func webSocket(_ environment: Environment) -> Route {
    Route("GET", "/echo", "Sends each message back", responses: []) { call in
      let response = try WebSocketHandshake.response(to: call.request)
      return .upgrade(response) { connection, rest in try await echo(environment, connection, rest) }
    }
  }

  private static func echo(_ environment: Environment, _ connection: any Connection, _ rest: [UInt8]) async throws {
    var parser = WebSocketParser(role: .server, limit: 16 << 20)
    parser.receive(rest)
    let patience = Duration.seconds(20)
    var isOpen = true
    while isOpen {
      var output: [UInt8] = []
      do throws(WebSocketError) {
        while isOpen, let event = try parser.next() {
          switch event {
          case .text(let bytes): WebSocketFrame.write(.text, bytes, to: &output)
          case .binary(let bytes): WebSocketFrame.write(.binary, bytes, to: &output)
          case .ping(let bytes): WebSocketFrame.write(.pong, bytes, to: &output)
          case .pong: break
          case .close(let code, _):
            WebSocketFrame.write(.close, code.map { WebSocketFrame.closePayload($0, "") } ?? [], to: &output)
            isOpen = false
          }
        }
      } catch {
        WebSocketFrame.write(.close, WebSocketFrame.closePayload(error.code, error.reason), to: &output)
        isOpen = false
      }
      if !output.isEmpty { try await connection.write(output, deadline: environment.clock.now + patience) }
      guard isOpen else { break }
      let bytes = try await connection.read(atMost: 65_536, deadline: nil)
      if bytes.isEmpty { return }
      parser.receive(bytes)
    }
    connection.shutdownWrite()
    let deadline = environment.clock.now + .seconds(2)
    while case let bytes = try await connection.read(atMost: 65_536, deadline: deadline), !bytes.isEmpty {}
  }
}
