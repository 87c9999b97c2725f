import Environment
import Simulation
import System

/// A step of the protocols that is done twice, early, late or out of turn. The service may refuse it, or end the session of the
/// one who does it; what it promises to others holds.
enum Rudeness {
  /// Several CONNECTs in one breath.
  case connectTwice
  /// Events before CONNECT is answered.
  case speakEarly
  /// CONNECT, and DISCONNECT before it is answered, twice.
  case connectAndLeave
  /// Acknowledgements of what nobody sent.
  case acknowledge
  /// Events, attachments, acknowledgements and DISCONNECT for namespaces that are not connected.
  case speakElsewhere
  /// CONNECT for namespaces that do not exist.
  case connectElsewhere
  /// An event that is not well-formed text.
  case speakBadly
  /// DISCONNECT twice, and an event after it.
  case leaveTwice
  /// A second polling request while one waits.
  case pollTwice
  /// Two WebSockets for a session that has one, or is about to.
  case upgradeTwice

  /// What leaves the socket as it is, by packets alone.
  static let onOneSocket: [Rudeness] = [.connectTwice, .acknowledge, .speakElsewhere, .connectElsewhere, .speakBadly]
  static let whileConnected = onOneSocket + [.pollTwice, .upgradeTwice]

  /// What a second CONNECT is told.
  static let refusal = "the namespace is already connected"

  /// Now and then one of `steps`, for people who are rude. Others draw nothing.
  static func drawn(from steps: [Rudeness], _ people: People, _ stream: ChoiceStream) -> Rudeness? {
    people.rude > 0 && stream.chance(people.rude) ? stream.pick(steps) : nil
  }

  /// Sends the packets of a step.
  func act(_ client: SocketIOClient, _ namespace: String, _ auth: JSONValue) async throws {
    for packet in packets(namespace, auth) {
      try await client.send(packet)
      for _ in 0..<packet.attachments { try await client.send(attachment: [1, 2, 3]) }
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

  /// Polls a session that is polled already.
  static func poll(_ session: String, _ environment: Environment) async {
    let client = HTTPClient(environment, address: Scenario.chatAddress)
    defer { client.close() }
    // Refused, empty or cut off: nothing is promised about it.
    _ = try? await client.send("GET", target(session, "polling"), timeout: .milliseconds(50))
  }

  /// Opens two WebSockets for a session that has one or is about to, and gives both up.
  static func upgrade(_ session: String, _ environment: Environment) async {
    let deadline = environment.clock.now + .milliseconds(50)
    let request = """
      GET \(target(session, "websocket")) HTTP/1.1\r
      host: \(Scenario.chatAddress)\r
      connection: Upgrade\r
      upgrade: websocket\r
      sec-websocket-version: 13\r
      sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r
      \r

      """
    var connections: [any Connection] = []
    for _ in 0..<2 {
      guard let connection = try? await environment.network.connect(to: Scenario.chatAddress, deadline: deadline) else {
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
