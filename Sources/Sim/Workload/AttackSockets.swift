import System

/// The packets of an attacker over Engine.IO and Socket.IO.
extension AttackGrammar {
  // MARK: Packets

  private func namespace() -> String {
    source.once(in: 4) ? source.pick(["/users", "/unknown", "/" + text(), "/users?a=b"]) : "/"
  }

  /// The data of a CONNECT packet. The attacker joins the pool of users only if there are no other
  /// users.
  private func authentication(for namespace: String) -> String {
    let session = namespace.hasPrefix("/users") && !persona.isAlone ? "none" : persona.sessionID
    return object([("sessionID", Self.quoted(session)), ("token", Self.quoted(persona.accessToken))])
  }

  private func connect() -> String {
    let namespace = namespace()
    let data = source.once(in: 12) ? json() : authentication(for: namespace)
    return "0" + (namespace == "/" ? "" : namespace + ",") + data
  }

  /// An event of the Chat Service or the User Server, or an unknown one.
  private func event() -> String {
    let recipient = source.once(in: 3) ? json() : "\(source.pick([persona.userID, persona.userID, 0, -1, .max, .min]))"
    let content =
      source.once(in: 4) ? json() : Self.quoted(source.once(in: 8) ? String(repeating: "c", count: 65_537) : text())
    let members = [
      ("sessionID", Self.quoted(persona.sessionID)), ("recipient_id", recipient),
      ("is_group", source.pick(["false", "true", "0"])), ("content", content),
      ("type", source.pick(["\"text\"", "\"image\"", "\"item\"", "\"x\""])), ("client_id", json()),
      ("contact_username", Self.quoted(persona.name + "-\(source.number(below: 3))")), ("MESSAGE", json()),
    ]
    let name = source.pick([
      "\"send_message\"", "\"send_message\"", "\"send_message\"", "\"add_contact\"", "\"typing\"", "\"user_message\"",
      "\"unknown\"",
      "\"connect\"", "\"disconnect\"", "7", "null",
    ])
    return "[\(name),\(object(members))\(source.once(in: 12) ? "," + json() : "")]"
  }

  /// The number of an acknowledgement, or nothing.
  private func number() -> String {
    source.once(in: 2) ? "" : source.pick(["0", "1", "12", "9223372036854775807", "9223372036854775808", "-1", "00"])
  }

  /// A packet of Socket.IO, valid or not.
  private func socketPacket() -> String {
    let prefix = { () -> String in
      let namespace = namespace()
      return namespace == "/" ? "" : namespace + ","
    }
    switch source.number(below: 14) {
    case 0, 1: return connect()
    case 2: return "1" + prefix()
    case 3: return "3" + prefix() + number() + json()
    case 4: return "4" + prefix() + json()
    case 5:
      let count = source.pick(["1", "2", "0", "10", "1000000", "99999999999999999999", ""])
      return "5\(count)-" + prefix() + number()
        + "[\"send_message\",{\"_placeholder\":true,\"num\":\(source.pick(["0", "1", "-1", "1e9"]))}]"
    case 6: return "6\(source.pick(["1", "9"]))-" + number() + "[]"
    case 7: return source.pick(["", "7", "2", "2[", "2/", "2/,", "9" + text(), "2" + json()])
    default: return "2" + prefix() + number() + event()
    }
  }

  /// A packet of Engine.IO as text, valid or not.
  func enginePacket() -> String {
    switch source.number(below: 16) {
    case 0: source.pick(["1", "2probe", "3", "3probe", "5", "6", "0{}", "9", "", "x"])
    case 1: "b" + source.pick(["AQID", "AQI=", "====", "", "A"])
    case 2: "2" + text()
    default: "4" + socketPacket()
    }
  }

  /// Several packets in one payload, as polling sends them.
  func pollingPayload() -> [UInt8] {
    let packets = (0..<source.pick([1, 1, 2, 3, 20])).map { _ in enginePacket() }
    return mangled(Array(packets.joined(separator: "\u{1e}").utf8))
  }

  // MARK: Transports

  /// The handshake of a WebSocket.
  func webSocketHandshake(sid: String?) -> [UInt8] {
    let version = source.once(in: 24) ? source.pick(["3", "5", "99999999999999999999", ""]) : "4"
    var target = "/socket.io/?EIO=\(version)&transport=\(source.once(in: 24) ? text() : "websocket")"
    if let sid { target += "&sid=" + PercentEncoding.encode(sid) }
    let key = source.once(in: 24) ? source.pick(["", "x", "AQID"]) : "dGhlIHNhbXBsZSBub25jZQ=="
    return Array(
      ("GET \(target) HTTP/1.1\r\nHost: \(Scenario.chatAddress)\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + "Sec-WebSocket-Key: \(key)\r\nSec-WebSocket-Version: 13\r\n\r\n").utf8)
  }

  /// A request of the polling transport.
  func polling(sid: String?) -> [UInt8] {
    var target = "/socket.io/?EIO=4&transport=polling"
    if let sid { target += "&sid=" + PercentEncoding.encode(source.once(in: 12) ? text() : sid) }
    let isPost = sid != nil && source.number(below: 3) > 0
    let body = isPost ? pollingPayload() : []
    var head = "\(isPost ? "POST" : "GET") \(target) HTTP/1.1\r\nHost: \(Scenario.chatAddress)\r\n"
    if isPost { head += "Content-Type: text/plain\r\nContent-Length: \(body.count)\r\n" }
    return mangled(Array((head + "\r\n").utf8) + body)
  }

  /// A frame with a packet, or one that the protocol forbids.
  func webSocketFrame() -> [UInt8] {
    switch source.number(below: 12) {
    case 0: return Self.frame(0x88, source.pick([[], [3], [3, 232], [3, 237], [0, 0], [3, 232, 0xFF]]))
    case 1: return Self.frame(source.pick([0x89, 0x8A]), Array(repeating: 1, count: source.pick([0, 125, 126])))
    case 2: return Self.frame(0x82, Array(repeating: 4, count: source.pick([0, 1, 1000])))
    case 3: return Self.frame(source.pick([0x83, 0xC1, 0x8F, 0x80, 0x00]), Array(enginePacket().utf8))
    case 4: return [0x81, 0xFF] + source.pick([[UInt8](repeating: 0xFF, count: 12), [0, 0, 0, 0, 0, 16, 66, 65]])
    case 5:
      let bytes = Array(enginePacket().utf8)
      let half = bytes.count / 2
      return Self.frame(0x01, Array(bytes[..<half])) + Self.frame(0x89, []) + Self.frame(0x80, Array(bytes[half...]))
    default: return mangled(Self.frame(0x81, Array(enginePacket().utf8)))
    }
  }

  /// A masked frame of a client (RFC 6455, section 5.2).
  private static func frame(_ first: UInt8, _ payload: [UInt8]) -> [UInt8] {
    var output = [first]
    switch payload.count {
    case 0..<126: output.append(0x80 | UInt8(payload.count))
    case 126..<65_536:
      output.append(0xFE)
      output.append(big: UInt16(payload.count))
    default:
      output.append(0xFF)
      output.append(big: UInt64(payload.count))
    }
    let mask: [UInt8] = [1, 2, 3, 4]
    output += mask
    for (index, byte) in payload.enumerated() { output.append(byte ^ mask[index % 4]) }
    return output
  }
}
