@testable import Environment
import Testing

@testable import Sim
@testable import System

/// A JSON document of 64 levels is accepted by each service, and every later parser accepts it too.
@Suite("Depth of JSON across all services")
struct DepthTests {
  private static let email = "ann@example.com"

  /// A value of this many levels.
  private static func nested(_ depth: Int) -> JSONValue {
    (0..<depth).reduce(JSONValue.string("x")) { inner, _ in .array([inner]) }
  }

  /// A request of the Customer Server whose body has this many levels: `MESSAGE` stands in two
  /// objects.
  private static func request(_ token: String, depth: Int) -> JSONValue {
    [
      "EMAIL": .string(email), "SESSION_TOKEN": .string(token), "REQUEST": "SEND_MESSAGE",
      "DATA": ["MESSAGE": nested(depth - 2)],
    ]
  }

  private static func post(_ body: [UInt8], _ type: String, _ client: HTTPClient) async throws -> Int {
    let head =
      "PUT /handleSessionRequests HTTP/1.1\r\nhost: customers\r\ncontent-type: \(type)\r\ncontent-length: \(body.count)\r\n\r\n"
    return try await client.send(Array(head.utf8) + body, timeout: .seconds(9)).status
  }

  /// The next `session_message` whose `MESSAGE` is this one.
  private static func hears(_ message: JSONValue, _ client: SocketIOClient) async throws -> Bool {
    while true {
      guard case .event(_, "session_message", let payload) = try await client.receive() else { continue }
      if payload.arguments.first?["MESSAGE"] == message { return true }
    }
  }

  @Test("a document of 64 levels is delivered, and one of 65 is refused on arrival", arguments: [62, 63, 64, 65])
  func throughAllServices(depth: Int) throws {
    let session = SessionWorld(seed: 21)
    session.addUsersAndChat()
    let isTaken = depth <= 64
    try session.world.perform(as: "people") { environment in
      let client = SocketIOClient(environment, address: SessionWorld.chat, transport: .webSocket)
      let chatSession = try await SessionWorld.chatSession("bob", environment)
      try await client.connect(namespace: "/users", auth: ["sessionID": .string(chatSession)])
      guard case .connected = try await client.receive() else { throw NetworkError.closed }
      let token = try await SessionWorld.runningSession(Self.email, environment)
      let customers = HTTPClient(environment, address: SessionWorld.customers)

      // From the customer, as JSON and as a property list, to the user's socket.
      let body = Self.request(token, depth: depth)
      for (bytes, type) in [(body.bytes, "application/json"), (PropertyList.bytes(body), "application/bytes")] {
        #expect(try await Self.post(bytes, type, customers) == (isTaken ? 200 : 400), "\(type)")
        if isTaken { #expect(try await Self.hears(Self.nested(depth - 2), client)) }
      }

      // From the user's socket to the transcript. The event is an array that holds an object.
      let said = Self.nested(depth - 2)
      _ = try await client.emit(
        "user_message", SocketPayload([["MESSAGE": said]]), namespace: "/users", acknowledged: true)
      var answer: JSONValue?
      while answer == nil {
        if case .acknowledged(_, _, let payload) = try await client.receive() { answer = payload.arguments.first }
      }
      #expect(answer?["status"] == (isTaken ? "ok" : "error"))
      guard isTaken else { return }
      let question: JSONValue = [
        "EMAIL": .string(Self.email), "SESSION_TOKEN": .string(token), "REQUEST": "GET_MESSAGES",
      ]
      var messages: [JSONValue] = []
      for _ in 0..<100 where messages.count < 3 {
        try await environment.clock.sleep(for: .milliseconds(50))
        let read = try await customers.send("PUT", "/handleSessionRequests", json: question, timeout: .seconds(9))
        messages =
          try JSONParser.parse(read.body, depth: JSONParser.innerDepth)["MESSAGES"]?.array ?? []
      }
      #expect(messages.map { $0["MESSAGE"] } == [said, said, said])
      customers.close()
      await client.close()
    }
    let letters = try session.publish([], within: .milliseconds(500)) { _, _ in false }.letters
    #expect(letters.isEmpty)
    session.world.end()
  }
}
