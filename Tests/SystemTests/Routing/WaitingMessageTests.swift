@testable import Environment
@testable import Simulation
import Testing

@testable import Sim
@testable import System

/// Messages that wait for a supervisor: how many a service keeps, and how it refuses more.
@Suite("Messages that wait")
struct WaitingMessageTests {
  private static let email = CustomerEmail("ann@example.com")!
  private static let request = RequestID("r")!
  private static let supervisor = SupervisorID("s1")!

  /// A Customer Server with a running session whose supervisor sends nothing.
  private func customers(unheard: Int = 0, bytes: Int = 3, heard: Int = 0) -> SessionWorld {
    SessionWorld(seed: 1, hosts: 0) { node, environment in
      guard node == "customers" else { return }
      let database = Database(environment, path: "customers.db", migrations: CustomerSchema.migrations)
      let text = JSONValue.string(String(repeating: "x", count: bytes - 2))
      try await database.transaction { connection in
        let tables = CustomerTables(connection)
        _ = try await tables.request(
          Self.email, token: SessionToken("t"), data: .object([]), at: environment.clock.wallTime)
        try await tables.initialize(Self.email, Self.request)
        _ = try await tables.run(Self.email, Self.supervisor, Self.request)
        for _ in 0..<unheard { _ = try await tables.add(text, from: Self.email, to: Self.supervisor) }
        for sequence in 0..<heard {
          let entry = TranscriptEntry(
            position: TranscriptPosition(Int64(sequence + 1)), sender: .customer, text: text, id: nil)
          try await tables.add(entry, to: Self.supervisor)
        }
      }
      await database.close()
    }
  }

  private func ask(
    _ session: SessionWorld, _ request: String, _ data: JSONValue
  ) throws -> (status: Int, body: JSONValue) {
    let answer = try session.ask(
      SessionWorld.customers, "PUT", "/handleSessionRequests",
      ["EMAIL": .string(Self.email.text), "SESSION_TOKEN": "t", "REQUEST": .string(request), "DATA": data])
    return (answer.status, answer.body)
  }

  @Test(
    "at most 1,000 messages and 4 MiB of a customer wait for a supervisor",
    arguments: [(999, 3), (63, 65_536)])
  func unheard(count: Int, bytes: Int) throws {
    let session = customers(unheard: count, bytes: bytes)
    let message: JSONValue = ["MESSAGE": .string(String(repeating: "x", count: bytes - 2))]
    let last = try ask(session, "SEND_MESSAGE", message)
    #expect(last.status == 200)
    let refused = try ask(session, "SEND_MESSAGE", message)
    #expect(refused.status == 429)
    #expect(refused.body["MESSAGE"] == "TOO_MANY_MESSAGES")
    session.world.end()
  }

  @Test("the answer to GET_MESSAGES is bounded in bytes, and AFTER pages to the end")
  func transcript() throws {
    let (count, bytes) = (150, 65_536)
    let session = customers(bytes: bytes, heard: count)
    var sequences: [Int64] = []
    var pages = 0
    while pages <= count {
      let page = try ask(session, "GET_MESSAGES", ["AFTER": .int(sequences.last ?? 0)])
      #expect(page.body.bytes.count <= 1 << 20)
      let messages = page.body["MESSAGES"]?.array ?? []
      guard !messages.isEmpty else { break }
      sequences += messages.compactMap { $0["SEQ"]?.int }
      pages += 1
    }
    #expect(sequences == (1...Int64(count)).map { $0 })
    #expect(pages > 4)
    session.world.end()
  }

  @Test("a message that is larger than a page is a page of its own")
  func largeMessage() throws {
    let session = customers(bytes: 700 << 10, heard: 2)
    let messages = try ask(session, "GET_MESSAGES", ["AFTER": 0]).body["MESSAGES"]?.array ?? []
    #expect(messages.map { $0["SEQ"] } == [1])
    session.world.end()
  }

  @Test("a message that is sent while its session ends is not kept")
  func ended() throws {
    try World(seed: 1).perform { environment in
      let database = Database(environment, path: "c.db", migrations: CustomerSchema.migrations)
      try await database.transaction { connection in
        let tables = CustomerTables(connection)
        _ = try await tables.request(
          Self.email, token: SessionToken("t"), data: .object([]), at: environment.clock.wallTime)
        try await tables.initialize(Self.email, Self.request)
        _ = try await tables.run(Self.email, Self.supervisor, Self.request)
        #expect(try await tables.add("before", from: Self.email, to: Self.supervisor) != nil)
        try await tables.end(Self.supervisor)
        #expect(try await tables.add("after", from: Self.email, to: Self.supervisor) == nil)
        #expect(try await connection.first("SELECT count(*) FROM unheard") { $0.int(0) } == 0)
      }
    }
  }

  /// A world in which users 1 and 2 are with a supervisor that consumes nothing.
  private func served() throws -> SessionWorld {
    let session = SessionWorld(seed: 2, hosts: 0)
    let headers: AMQPTable = ["SESSION_SUPERVISOR_ID": .text("foreign"), "SESSION_EPOCH": .int64(0)]
    let messages = [
      SessionWorld.message(QueueNames.fromUserServer, #"{"TYPE":"NEW_USER","DATA":{"USER_ID":1}}"#),
      SessionWorld.message(QueueNames.fromUserServer, #"{"TYPE":"NEW_USER","DATA":{"USER_ID":2}}"#),
      SessionWorld.message(
        QueueNames.fromSupervisors, #"{"TYPE":"INITIALIZE_SESSION","DATA":{}}"#, headers: headers),
    ]
    _ = try session.publish(messages) { answers, _ in answers.count == 3 }
    let grant = SessionWorld.message(
      QueueNames.fromSupervisors, #"{"TYPE":"NEW_SESSION","DATA":{"USER_COUNT":2}}"#, headers: headers)
    let (answers, _) = try session.publish([grant]) { answers, _ in answers.count == 1 }
    #expect(answers.last?["NOTICE"] == "SUFFICIENT")
    return session
  }

  private func says(_ user: Int, _ id: Int, bytes: Int) -> AMQPMessage {
    let text = String(repeating: "x", count: bytes - 2)
    return SessionWorld.message(
      QueueNames.fromUserServer,
      #"{"TYPE":"USER_MESSAGE","DATA":{"USER_ID":\#(user),"MESSAGE_ID":"\#(user)/\#(id)","MESSAGE":"\#(text)"}}"#,
      replyTo: "forwarded")
  }

  @Test(
    "at most 1,000 messages and 1 MiB of a user wait for a supervisor, and other users are not affected",
    arguments: [(1_000, 3), (16, 65_536)])
  func forwarded(count: Int, bytes: Int) throws {
    let session = try served()
    let messages = (0..<count + 5).map { says(1, $0, bytes: bytes) } + [says(1, 0, bytes: bytes), says(2, 0, bytes: 9)]
    let (answers, _) = try session.publish(messages, answers: "forwarded") { answers, _ in
      answers.count == messages.count
    }
    let success: JSONValue = ["STATUS": "SUCCESS"]
    let refused: JSONValue = ["STATUS": "FAILED", "ERROR": "too many messages of the user wait for the supervisor"]
    #expect(answers.prefix(count).allSatisfy { $0 == success })
    #expect(answers.dropFirst(count).prefix(5).allSatisfy { $0 == refused })
    #expect(answers.suffix(2) == [success, success], "a message that is kept already, and one of another user")
    session.world.end()
  }
}
