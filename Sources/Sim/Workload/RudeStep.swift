import Environment
import Simulation
import System

/// A step of a socket protocol that is done twice, early, late or out of turn.
///
/// The service may refuse the step or close the connection. Its promises to other users hold.
enum RudeStep {
  /// Several CONNECT packets at once.
  case connectTwice
  /// Events before CONNECT is answered.
  case speakEarly
  /// CONNECT, and DISCONNECT before it is answered, twice.
  case connectAndLeave
  /// Acknowledgements of events that the server did not send.
  case acknowledge
  /// Events, attachments, acknowledgements and DISCONNECT for namespaces that are not connected.
  case speakElsewhere
  /// CONNECT for namespaces that do not exist.
  case connectElsewhere
  /// An event whose name is not a string.
  case speakBadly
  /// DISCONNECT twice, and an event after it.
  case leaveTwice
  /// A second polling request while one is pending.
  case pollTwice
  /// Two WebSockets for a connection that has one or is about to.
  case upgradeTwice

  /// Steps that leave the socket open and consist of packets alone.
  static let onOneSocket: [RudeStep] = [.connectTwice, .acknowledge, .speakElsewhere, .connectElsewhere, .speakBadly]
  static let whileConnected = onOneSocket + [.pollTwice, .upgradeTwice]

  /// The message with which a second CONNECT is refused.
  static let refusal = "the namespace is already connected"

  /// One of `steps` with the chance that the user's group has; nil otherwise.
  static func drawn(from steps: [RudeStep], by user: UserState) -> RudeStep? {
    let chance = user.behavior.rude
    guard chance > 0, !steps.isEmpty else { return nil }
    return user.circumstances.chance(chance) ? user.circumstances.pick(steps) : nil
  }

  /// Sends the packets of a step.
  func take(_ client: SocketIOClient, _ namespace: String, _ auth: JSONValue) async throws {
    for packet in packets(namespace, auth) {
      try await client.send(packet)
      for _ in 0..<packet.attachments { try await client.send(attachment: [1, 2, 3]) }
    }
  }

  /// The events of a step that the server may take for ordinary ones.
  func events(_ namespace: String) -> [(name: String, data: JSONValue)] {
    packets(namespace, .null).compactMap { packet in
      guard packet.kind == .event, packet.namespace == namespace, let name = packet.data?.array?.first?.string else {
        return nil
      }
      return (name, packet.data?.array?.dropFirst().first ?? .null)
    }
  }

  private func packets(_ namespace: String, _ auth: JSONValue) -> [SocketIOPacket] {
    let connect = SocketIOPacket(.connect, namespace: namespace, data: auth)
    let event = SocketIOPacket(.event, namespace: namespace, id: 1_000_000, data: ["typing", ["recipient_id": 1]])
    let leave = SocketIOPacket(.disconnect, namespace: namespace)
    switch self {
    case .connectTwice: return [connect, connect]
    case .speakEarly: return [event, event]
    case .connectAndLeave: return [leave, connect, leave, leave]
    case .acknowledge:
      return [0, 0, .max].map { SocketIOPacket(.acknowledgement, namespace: namespace, id: $0, data: []) }
    case .speakElsewhere:
      return [
        SocketIOPacket(.event, namespace: "/elsewhere", id: 7, data: ["hello"]),
        SocketIOPacket(.binaryEvent, namespace: "/elsewhere", data: ["hello"], attachments: 2),
        SocketIOPacket(.acknowledgement, namespace: "/elsewhere", id: 7, data: []),
        SocketIOPacket(.disconnect, namespace: "/elsewhere"),
      ]
    case .connectElsewhere:
      return ["/elsewhere", "/nowhere"].map { SocketIOPacket(.connect, namespace: $0, data: auth) }
    case .speakBadly: return [SocketIOPacket(.event, namespace: namespace, id: 1_000_001, data: [1, 2])]
    case .leaveTwice: return [leave, leave, event]
    case .pollTwice, .upgradeTwice: return []
    }
  }

  // MARK: The transports

  private static func target(_ session: String, _ transport: String) -> String {
    "/socket.io/?EIO=4&transport=\(transport)&sid=\(session)"
  }

  /// Polls a connection that is being polled.
  static func poll(_ session: String, at address: SocketAddress, _ environment: Environment) async {
    let client = HTTPClient(environment, address: address)
    defer { client.close() }
    // The answer may be refused, empty or cut off.
    _ = try? await client.send("GET", target(session, "polling"), timeout: .milliseconds(50))
  }

  /// Opens two WebSockets for a connection that has one or is about to, and resets both.
  static func upgrade(_ session: String, at address: SocketAddress, _ environment: Environment) async {
    let deadline = environment.clock.now + .milliseconds(50)
    let request = """
      GET \(target(session, "websocket")) HTTP/1.1\r
      host: \(address)\r
      connection: Upgrade\r
      upgrade: websocket\r
      sec-websocket-version: 13\r
      sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r
      \r

      """
    var connections: [any Connection] = []
    for _ in 0..<2 {
      guard let connection = try? await environment.network.connect(to: address, deadline: deadline) else {
        continue
      }
      connections.append(connection)
      try? await connection.write(Array(request.utf8), deadline: deadline)
    }
    for connection in connections {
      _ = try? await connection.read(atMost: 4096, deadline: deadline)
      connection.reset()
    }
  }
}
