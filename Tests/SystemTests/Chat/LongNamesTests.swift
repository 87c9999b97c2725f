@testable import Environment
import Testing

@testable import Sim
@testable import System

/// The length of a client's text is limited before it is compared: comparing a letter with many
/// combining marks takes quadratic time.
@Suite("Long names on sockets")
struct LongNamesTests {
  private static let marks = String(repeating: "\u{301}\u{323}", count: 10_000)

  @Test(
    "the error for a long event name has only the start of the name", arguments: ["x", "send_message", "user_message"])
  func events(beginning: String) throws {
    let session = SessionWorld(seed: 51, hosts: 0)
    session.addUsersAndChat()
    let message = try session.world.perform(as: "ann") { environment in
      let chatSession = try await SessionWorld.chatSession("ann", environment)
      let client = SocketIOClient(environment, address: SessionWorld.chat, transport: .webSocket)
      try await client.connect(auth: ["sessionID": .string(chatSession)])
      guard case .connected = try await client.receive() else { throw NetworkError.closed }
      _ = try await client.emit(beginning + Self.marks, SocketPayload([.object([])]), acknowledged: true)
      while true {
        guard case .acknowledged(_, _, let payload) = try await client.receive() else { continue }
        await client.close()
        return payload.arguments.first?["message"]?.string
      }
    }
    #expect(message?.hasPrefix("no event") == true)
    #expect((message?.utf8.count ?? 0) < 200)
    session.world.end()
  }

  @Test("a session id that is too long is refused", arguments: ["x", ""])
  func sessions(beginning: String) throws {
    let session = SessionWorld(seed: 52, hosts: 0)
    session.addUsersAndChat()
    let refusal = try session.world.perform(as: "ann") { environment in
      let client = SocketIOClient(environment, address: SessionWorld.chat, transport: .webSocket)
      try await client.connect(auth: ["sessionID": .string(beginning + Self.marks)])
      guard case .refused(_, let message) = try await client.receive() else { return "not refused" }
      await client.close()
      return message
    }
    #expect(refusal == "no such session")
    session.world.end()
  }
}
