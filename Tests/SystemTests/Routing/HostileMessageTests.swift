import Testing

@testable import Sim
@testable import System

/// Messages that no honest service sends, in every queue: none may stop the queue, now or after a restart.
@Suite("Hostile queue messages")
struct HostileMessageTests {
  /// One valid message of each type that the manager takes.
  private static let valid: [(ManagerSource, String, JSONValue)] = [
    (.userServer, "NEW_USER", ["USER_ID": 7, "CONNECTION": 1]),
    (.userServer, "REMOVE_USER", ["USER_ID": 7, "CONNECTION": 1]),
    (.userServer, "USER_MESSAGE", ["USER_ID": 7, "MESSAGE_ID": "7/a", "MESSAGE": "hello"]),
    (.customerServer, "START_SESSION", ["EMAIL": "ann@example.com", "SESSION_DATA": ["USER_COUNT": 1]]),
    (.customerServer, "ADDITIONAL_USERS", ["SESSION_SUPERVISOR_ID": "s1", "USER_COUNT": 1]),
    (.customerServer, "END_SESSION", ["SESSION_SUPERVISOR_ID": "s9"]),
    (.customerServer, "END_SESSION", ["EMAIL": "nobody@example.com"]),
    (.supervisors, "INITIALIZE_SESSION", ["HOST": "foreign"]),
    (.supervisors, "NEW_SESSION", ["USER_COUNT": 1]),
    (.supervisors, "ADDITIONAL_USERS", ["USER_COUNT": 1]),
    (.supervisors, "SEND_MESSAGE_TO_USER", ["USER_ID": 7, "MESSAGE_FOR_USER": ["SEQ": 1, "FROM": 7, "MESSAGE": "a"]]),
    (.supervisors, "USER_RELEASED", ["LIST_USER_ID": [7]]),
    (.supervisors, "APPEND_TRANSCRIPT", ["MESSAGE_ID": "m", "FROM": 7, "MESSAGE": "hello", "PREVIOUS": "k"]),
    (.supervisors, "HEARTBEAT", ["HOST": "foreign", "LEAVING": true]),
    (.supervisors, "HEARTBEAT", ["HOST": "foreign"]),
  ]

  private static func nested(_ depth: Int) -> String {
    String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
  }

  private static let extremes: [String] = [
    "9223372036854775807", "-9223372036854775808", "9007199254740993", "1000001", "1000000", "0", "-1", "1e308", "-0.5",
    "null", "true", #""""#, #""ALL""#, "[]", "{}", "[[1]]", #"{"USER_COUNT":9223372036854775807}"#,
    "\"" + String(repeating: "é", count: 127) + "\"", "\"" + String(repeating: "é", count: 128) + "\"",
    "\"" + String(repeating: "é", count: 300) + "\"", "\"" + String(repeating: "\\u0001", count: 255) + "\"",
    "\"a" + String(repeating: "\\u0301\\u0323", count: 2_000) + "\"",
    "\"" + String(repeating: "x", count: 200_000) + "\"", nested(64), nested(65), nested(62), nested(200),
    nested(20_000),
  ]

  /// The texts of all values that differ from one in a single place.
  private static func variants(_ value: JSONValue) -> [String] {
    var found = extremes
    switch value {
    case .object(let members):
      for index in members.indices {
        func text(_ replaced: String?) -> String {
          let fields = members.indices.compactMap { place -> String? in
            let text = place == index ? replaced : members[place].value.text
            return text.map { "\(JSONValue.string(members[place].name).text):\($0)" }
          }
          return "{\(fields.joined(separator: ","))}"
        }
        found.append(text(nil))
        found += variants(members[index].value).map { text($0) }
      }
    case .array(let elements):
      for element in elements { found += variants(element).map { "[\($0)]" } }
    default: break
    }
    return found
  }

  private static let longName = String(repeating: "é", count: 127)
  private static let headers: [AMQPTable] = {
    let values: [AMQPValue] = [
      .int64(.max), .int64(.min), .int64(0), .uint8(1), .double(0x7FF8_0000_0000_0000), .boolean(true), .void,
      .text(""), .text("9223372036854775808"), .text("-9223372036854775808"), .text(longName),
      .string([0xFF, 0xFE]), .string([UInt8](repeating: 0x61, count: 100_000)), .bytes([1]), .array([.int64(1)]),
      .table(["a": .int64(1)]),
    ]
    return ["SESSION_SUPERVISOR_ID", "SESSION_EPOCH", "DATA_FORMAT"].flatMap { name in
      values.map { value in
        var table: AMQPTable = ["SESSION_SUPERVISOR_ID": .text("s1"), "SESSION_EPOCH": .int64(1)]
        table[name] = value
        return table
      }
    }
  }()

  @Test("a field of any value stops no queue of the manager, now or after a restart", arguments: ManagerSource.allCases)
  func fields(source: ManagerSource) throws {
    let session = SessionWorld(seed: 1)
    var messages: [AMQPMessage] = []
    let supervisors: AMQPTable = ["SESSION_SUPERVISOR_ID": .text("foreign"), "SESSION_EPOCH": .int64(0)]
    for (from, type, data) in Self.valid where from == source {
      for text in [data.text] + Self.variants(data) {
        messages.append(
          SessionWorld.message(source.queue, #"{"TYPE":"\#(type)","DATA":\#(text)}"#, headers: supervisors))
      }
    }
    let count = messages.count
    let (answers, letters) = try session.publish(messages) { answers, _ in answers.count == count }
    #expect(answers.count == count, "each request is answered")
    #expect(!letters.isEmpty)
    #expect(try session.managerAnswers())
    session.restart("manager")
    #expect(try session.managerAnswers())
    session.world.end()
  }

  @Test("headers of any value stop no queue of the manager", arguments: ManagerSource.allCases)
  func headers(source: ManagerSource) throws {
    let session = SessionWorld(seed: 2)
    var messages: [AMQPMessage] = []
    for (from, type, data) in Self.valid where from == source {
      for table in Self.headers {
        messages.append(
          SessionWorld.message(source.queue, #"{"TYPE":"\#(type)","DATA":\#(data.text)}"#, headers: table))
      }
    }
    let count = messages.count
    let (answers, _) = try session.publish(messages) { answers, _ in answers.count == count }
    #expect(answers.count == count, "each request is answered")
    session.restart("manager")
    #expect(try session.managerAnswers())
    session.world.end()
  }

  @Test("bodies, types and properties of any form stop no queue of the manager", arguments: ManagerSource.allCases)
  func bodies(source: ManagerSource) throws {
    let session = SessionWorld(seed: 3)
    var bodies = [
      "", "{", "null", "[]", "{}", #"{"TYPE":1}"#, #"{"TYPE":"NO_SUCH_TYPE"}"#, #"{"TYPE":"NEW_USER","DATA":1}"#,
      #"{"TYPE":"a","TYPE":"a"}"#, Self.nested(20_000),
    ]
    for text in [
      String(repeating: "x", count: 200_000), "a" + String(repeating: "\u{301}\u{323}", count: 20_000),
      Self.longName + "é",
    ] {
      bodies.append(#"{"TYPE":"\#(text)"}"#)
      bodies.append(#"{"\#(text)":1,"\#(text)":2}"#)
    }
    let count = bodies.count
    let messages = bodies.map {
      SessionWorld.message(source.queue, $0, id: "\($0.utf8.count)", correlation: Self.longName)
    }
    let (answers, letters) = try session.publish(messages) { answers, letters in
      answers.count == count && letters.count == count
    }
    #expect(answers.count == count, "each is answered")
    #expect(answers.allSatisfy { $0["STATUS"] == "FAILED" })
    #expect(letters.map(\.body) == messages.map(\.body), "each is set aside, whole and in order")
    #expect(letters.allSatisfy { $0.properties.headers?["PARLEY_REASON"]?.text?.isEmpty == false })
    session.restart("manager")
    #expect(try session.managerAnswers())
    session.world.end()
  }

  @Test("an empty reply_to asks for no answer", arguments: [nil, "", "c"])
  func emptyReplyTo(correlation: String?) throws {
    let session = SessionWorld(seed: 4)
    let body = #"{"TYPE":"NEW_USER","DATA":{"USER_ID":1,"CONNECTION":1}}"#
    let message = SessionWorld.message(QueueNames.fromUserServer, body, replyTo: "", correlation: correlation)
    _ = try session.publish([message], within: .seconds(2)) { _, _ in false }
    session.restart("manager")
    #expect(try session.managerAnswers())
    #expect(try session.ask(SessionWorld.manager, "GET", "/UserServer").body["FREE"] == 1)
    session.world.end()
  }

  /// Every queue that a service reads, with what has to be there before.
  private static let readers = [
    QueueNames.fromUserServer, QueueNames.fromCustomerServer, QueueNames.fromSupervisors, QueueNames.hosts,
    QueueNames.toCustomerServer, "SSE_s1_UM", "SSE_s1_CA",
  ]

  @Test("a message whose header fills its frame is set aside without its headers", arguments: readers)
  func fullHeader(queue: String) throws {
    let session = SessionWorld(seed: 5)
    try Self.begin(session)
    var message = SessionWorld.message(queue, "not JSON", id: String(repeating: "é", count: 127))
    let room = AMQPParser.maximumFrame - 8 - 12
    for spare in [0, 1, 40, 200] {
      message.properties.headers = ["filler": .string([])]
      let used = message.properties.bytes.count
      message.properties.headers = ["filler": .string([UInt8](repeating: 0x61, count: room - used - 1 - spare))]
      message.body = Array("not JSON \(spare)".utf8)
      let body = message.body
      let (_, letters) = try session.publish([message], within: .seconds(10)) { _, letters in !letters.isEmpty }
      #expect(letters.map(\.body) == [body])
      #expect(letters.first?.properties.headers?["PARLEY_QUEUE"]?.text == queue)
      #expect(letters.first?.properties.headers?["filler"] == nil || spare > 40)
    }
    session.restart("manager")
    #expect(try session.managerAnswers())
    try Self.expectSessionGoesOn(session)
    session.world.end()
  }

  /// Starts the session of ann@example.com and waits for it to run.
  private static func begin(_ session: SessionWorld, data: String = #"{"USER_COUNT":1}"#) throws {
    let start = #"{"TYPE":"START_SESSION","DATA":{"EMAIL":"ann@example.com","SESSION_DATA":\#(data)}}"#
    _ = try session.publish([SessionWorld.message(QueueNames.fromCustomerServer, start, id: "start")]) { answers, _ in
      answers.count == 1
    }
    session.world.run(until: session.world.now + .seconds(3))
  }

  /// What the customer says reaches the transcript, and a user.
  private static func expectSessionGoesOn(_ session: SessionWorld) throws {
    let said = #"{"TYPE":"CUSTOMER_MESSAGE","DATA":{"MESSAGE_ID":"customer/1","MESSAGE":"still there?"}}"#
    let there = #"{"TYPE":"NEW_USER","DATA":{"USER_ID":5,"CONNECTION":1}}"#
    _ = try session.publish([SessionWorld.message(QueueNames.fromUserServer, there)]) { answers, _ in !answers.isEmpty }
    session.world.run(until: session.world.now + .seconds(1))
    _ = try session.publish([SessionWorld.message("SSE_s1_CA", said)], within: .seconds(3)) { _, _ in false }
    let heard = try session.world.perform(as: "user-server-\(session.world.now)") { environment in
      let client = AMQPClient(environment, broker: SessionWorld.broker)
      let heard = Heard()
      await client.consume(QueueNames.toUserServer) {
        heard.bodies += $0.map { String(decoding: $0.body, as: UTF8.self) }
      }
      client.start()
      try await environment.clock.sleep(for: .seconds(5))
      await client.close()
      return heard.bodies
    }
    #expect(heard.contains { $0.contains("still there?") })
  }

  private final class Heard: @unchecked Sendable {
    var bodies: [String] = []
  }

  @Test(
    "a user with a long name is served like any other",
    arguments: [String(repeating: "é", count: 127), String(repeating: "\u{1}", count: 255), "a/b/c", ""])
  func longUserID(name: String) throws {
    let session = SessionWorld(seed: 6)
    try Self.begin(session)
    let there: JSONValue = ["TYPE": "NEW_USER", "DATA": ["USER_ID": .string(name), "CONNECTION": 1]]
    _ = try session.publish([SessionWorld.message(QueueNames.fromUserServer, there.text)]) { answers, _ in
      !answers.isEmpty
    }
    session.world.run(until: session.world.now + .seconds(2))
    let says: JSONValue = [
      "TYPE": "USER_MESSAGE",
      "DATA": ["USER_ID": .string(name), "MESSAGE_ID": .string(Self.longName), "MESSAGE": "hi"],
    ]
    let (answers, _) = try session.publish([SessionWorld.message(QueueNames.fromUserServer, says.text)]) { answers, _ in
      !answers.isEmpty
    }
    #expect(answers == [["STATUS": "SUCCESS"]])
    try Self.expectSessionGoesOn(session)
    session.world.end()
  }

  @Test(
    "a session of any USER_COUNT is refused or runs, and goes on when it is asked for more users", arguments: extremes)
  func userCounts(count: String) throws {
    let session = SessionWorld(seed: 7)
    let start = #"{"TYPE":"START_SESSION","DATA":{"EMAIL":"ann@example.com","SESSION_DATA":{"USER_COUNT":\#(count)}}}"#
    let more = #"{"TYPE":"ADDITIONAL_USERS","DATA":{"SESSION_SUPERVISOR_ID":"s1","USER_COUNT":1000000}}"#
    let (answers, _) = try session.publish([SessionWorld.message(QueueNames.fromCustomerServer, start)]) {
      answers, _ in answers.count == 1
    }
    let value = try? JSONParser.parse(Array(count.utf8))
    #expect((answers.first?["STATUS"] == "SUCCESS") == (value.map { UserCount($0) != nil } ?? false))
    session.world.run(until: session.world.now + .seconds(2))
    let mores = (0..<3).map { _ in SessionWorld.message(QueueNames.fromCustomerServer, more) }
    _ = try session.publish(mores) { answers, _ in answers.count == 3 }
    session.restart("host-0")
    session.restart("manager")
    session.world.run(until: session.world.now + .seconds(20))
    #expect(try session.managerAnswers())
    session.world.end()
  }

  @Test("what goes in at the greatest depth comes out", arguments: [1, 61, 62])
  func depth(depth: Int) throws {
    let session = SessionWorld(seed: 8)
    try Self.begin(session, data: #"{"USER_COUNT":1,"x":\#(Self.nested(depth))}"#)
    let messages = [1, 2].map {
      SessionWorld.message(
        QueueNames.fromUserServer, #"{"TYPE":"NEW_USER","DATA":{"USER_ID":\#($0),"CONNECTION":1}}"#)
    }
    let more = #"{"TYPE":"ADDITIONAL_USERS","DATA":{"SESSION_SUPERVISOR_ID":"s1","USER_COUNT":1}}"#
    _ = try session.publish(messages + [SessionWorld.message(QueueNames.fromCustomerServer, more)]) { answers, _ in
      answers.count == 3
    }
    session.world.run(until: session.world.now + .seconds(2))
    let said = #"{"TYPE":"USER_MESSAGE","DATA":{"USER_ID":1,"MESSAGE_ID":"1/a","MESSAGE":\#(Self.nested(depth))}}"#
    let (_, letters) = try session.publish(
      [SessionWorld.message(QueueNames.fromUserServer, said)], within: .seconds(3)
    ) { _, _ in false }
    #expect(letters.isEmpty)
    let heard = try session.world.perform(as: "user-server") { environment in
      let client = AMQPClient(environment, broker: SessionWorld.broker)
      let heard = Heard()
      await client.consume(QueueNames.toUserServer) {
        heard.bodies += $0.map { String(decoding: $0.body, as: UTF8.self) }
      }
      client.start()
      try await environment.clock.sleep(for: .seconds(5))
      await client.close()
      return heard.bodies
    }
    #expect(heard.count == 1)
    #expect(heard.first?.contains(Self.nested(depth)) == true)
    session.world.end()
  }
}
