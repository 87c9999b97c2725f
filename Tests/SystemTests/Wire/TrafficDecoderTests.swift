@testable import Environment
import Testing

@testable import System

@Suite("Traffic decoder")
struct TrafficDecoderTests {
  private func words(_ parts: [(fromClient: Bool, bytes: [UInt8])]) -> [String] {
    var decoder = TrafficDecoder()
    return parts.flatMap { decoder.receive($0.bytes, fromClient: $0.fromClient) }.map { "\($0.layer) \($0.summary)" }
  }

  private func client(_ text: String) -> (fromClient: Bool, bytes: [UInt8]) { (true, Array(text.utf8)) }
  private func server(_ text: String) -> (fromClient: Bool, bytes: [UInt8]) { (false, Array(text.utf8)) }

  @Test("HTTP, in pieces")
  func http() {
    let found = words([
      client("POST /login HTTP/1.1\r\nhost: x\r\ncontent-le"), client("ngth: 2\r\n\r\n{}"),
      server("HTTP/1.1 401 Unauthorized\r\ncontent-length: 4\r\n\r\nnope"),
      client("GET /health HTTP/1.1\r\nhost: x\r\n\r\n"), server("HTTP/1.1 204 No Content\r\n\r\n"),
    ])
    #expect(found == ["HTTP POST /login {}", "HTTP 401 nope", "HTTP GET /health", "HTTP 204"])
  }

  @Test("Socket.IO over a WebSocket, and over polling")
  func socketIO() {
    var frame: [UInt8] = []
    WebSocketFrame.write(.text, Array("42[\"new_message\",{\"seq\":1}]".utf8), to: &frame)
    let found = words([
      client("GET /socket.io/?EIO=4 HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"),
      (false, Array("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n".utf8) + frame),
      (false, frame),
    ])
    #expect(found.count == 4 && found[1].hasPrefix("HTTP 101"))
    #expect(found[2] == "Socket.IO new_message {\"seq\":1}" && found[3] == found[2])
    let polled = words([
      client("POST /socket.io/?sid=1 HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n40/users,"),
      server("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n2\u{1E}6"),
    ])
    #expect(polled == ["HTTP POST /socket.io/?sid=1 /users CONNECT", "HTTP 200 ping · noop"])
  }

  @Test("AMQP, with the contents of queue messages")
  func amqp() throws {
    var bytes = AMQPParser.protocolHeader
    AMQPFrames.write(
      .basicPublish(exchange: "E", routingKey: "Q", mandatory: false, immediate: false),
      properties: AMQPProperties().bytes, body: Array("{\"TYPE\":\"NEW_USER\",\"DATA\":{\"USER_ID\":1}}".utf8), 1,
      frameMax: 4096, to: &bytes)
    AMQPFrames.writeHeartbeat(to: &bytes)
    var decoder = TrafficDecoder()
    let found = bytes.indices.flatMap { decoder.receive([bytes[$0]], fromClient: true) }
    try #require(found.map(\.layer) == ["AMQP", "AMQP"])
    #expect(
      found[0].summary.hasPrefix("NEW_USER {") && found[0].summary.hasSuffix(" by basicPublish E/Q")
        && found[0].name == "NEW_USER")
    #expect(found[0].payload?["USER_ID"] == 1 && found[1].summary == "heartbeat")
  }

  @Test("invalid bytes are reported, and nothing traps")
  func nonsense() {
    var state: UInt64 = 1
    for _ in 0..<3000 {
      var decoder = TrafficDecoder()
      for _ in 0..<4 {
        let bytes = (0..<40).map { _ -> UInt8 in
          state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
          return UInt8(truncatingIfNeeded: state >> 56)
        }
        let start = state % 3 == 0 ? Array("GET / HTTP/1.1\r\n".utf8) : state % 3 == 1 ? AMQPParser.protocolHeader : []
        _ = decoder.receive(start + bytes, fromClient: state % 2 == 0)
      }
    }
    #expect(words([client("not HTTP\r\n\r\n"), client("more")]).allSatisfy { $0.hasPrefix("bytes ") })
  }
}
