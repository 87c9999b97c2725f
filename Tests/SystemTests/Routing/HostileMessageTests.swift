@testable import Environment
import Testing

@testable import Sim
@testable import System

/// Messages that no honest service sends. None of them may stop a queue, now or after a restart.
@Suite("Hostile queue messages")
struct HostileMessageTests {
  /// The rows of a queue in the message tables of the services that consume it.
  private static func rows(_ queue: String, in tables: [MessageTable] = [QueueMessages.manager]) -> [MessageRow] {
    tables.flatMap(\.rows).filter { $0.direction == .receive && $0.channel == queue }
  }

  /// Messages that the schemas allow and the manager refuses: names of supervisors, emails, and
  /// fields that depend on others.
  private static let refused: [(ManagerSource, String, String)] =
    [
      (.customerServer, "END_SESSION", "{}"), (.supervisors, "HEARTBEAT", #"{"LEAVING":true}"#),
      (.customerServer, "ADDITIONAL_USERS", #"{"SESSION_SUPERVISOR_ID":"a b","USER_COUNT":1}"#),
      (.customerServer, "END_SESSION", #"{"SESSION_SUPERVISOR_ID":"é"}"#),
      (.customerServer, "START_SESSION", #"{"EMAIL":"ann"}"#), (.customerServer, "END_SESSION", #"{"EMAIL":"ann"}"#),
    ]
    + ["0", "1000001", "9223372036854775807", "-1", "0.5", "true", #""all""#, "[1]"].map {
      (.customerServer, "START_SESSION", #"{"EMAIL":"ann@example.com","SESSION_DATA":{"USER_COUNT":\#($0)}}"#)
    }
    // Numbers out of range, invalid Unicode and too much depth.
    + ["9223372036854775808", "1e308", "1e999", #""\ud800""#, nested(200), nested(20_000)].map {
      (.userServer, "NEW_USER", #"{"USER_ID":\#($0),"CONNECTION":1}"#)
    }

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

  @Test(
    "every field of a queue's messages has a bound",
    arguments: [
      QueueMessages.manager, QueueMessages.customerAgent, QueueMessages.userServerAgent, QueueMessages.supervisor,
    ])
  func bounds(table: MessageTable) {
    #expect(table.rows.filter { !$0.data.isBounded }.map(\.name) == [])
  }

  @Test(
    "a value beyond a bound is refused and set aside; a value at the bound is not", arguments: ManagerSource.allCases)
  func fields(source: ManagerSource) throws {
    let session = SessionWorld(seed: 1)
    let supervisors: AMQPTable = ["SESSION_SUPERVISOR_ID": .text("foreign"), "SESSION_EPOCH": .int64(0)]
    var messages: [AMQPMessage] = []
    var bad: [String] = []
    func add(_ type: String, _ data: String, isAllowed: Bool) {
      messages.append(
        SessionWorld.message(source.queue, #"{"TYPE":"\#(type)","DATA":\#(data)}"#, headers: supervisors))
      if !isAllowed { bad.append(String(decoding: messages.last!.body, as: UTF8.self)) }
    }
    for row in Self.rows(source.queue) {
      for one in row.data.cases { add(row.name, one.value.text, isAllowed: one.isAllowed) }
    }
    for (from, type, data) in Self.refused where from == source { add(type, data, isAllowed: false) }
    #expect(bad.count > 20)
    let (count, badCount) = (messages.count, bad.count)
    let (answers, letters) = try session.publish(messages) { answers, letters in
      answers.count == count && letters.count >= badCount
    }
    #expect(answers.count == count, "each request is answered")
    let aside = letters.map { String(decoding: $0.body, as: UTF8.self) }
    #expect(aside.first { !bad.contains($0) } == nil, "no message within the bounds is set aside")
    #expect(aside == bad, "each message out of bounds is set aside, in order")
    #expect(try session.managerAnswers())
    session.restart("manager")
    #expect(try session.managerAnswers())
    session.world.end()
  }

  @Test(
    "every consumer sets aside a value beyond a bound",
    arguments: [QueueNames.hosts, QueueNames.toCustomerServer, "SSE_s1_UM", "SSE_s1_CA"])
  func fieldsOfOthers(queue: String) throws {
    let session = SessionWorld(seed: 9)
    try Self.begin(session)
    let channel = queue.hasPrefix("SSE_s1") ? QueueMessages.kind(of: queue) : queue
    let cases = Self.rows(channel, in: [QueueMessages.supervisor, QueueMessages.customerAgent]).flatMap { row in
      row.data.cases.map { (type: row.name, one: $0) }
    }
    #expect(cases.contains { !$0.one.isAllowed })
    // Messages out of bounds come first, because a valid one may end the session.
    for isAllowed in [false, true] {
      let messages = cases.filter { $0.one.isAllowed == isAllowed }.map { type, one in
        SessionWorld.message(
          queue, #"{"TYPE":"\#(type)","DATA":\#(one.value.text)}"#, correlation: nil,
          headers: ["SESSION_SUPERVISOR_ID": .text("s9")])
      }
      let (_, letters) = try session.publish(messages, within: .seconds(isAllowed ? 2 : 30)) { _, letters in
        letters.count == messages.count
      }
      if !isAllowed { #expect(letters.map(\.body) == messages.map(\.body)) }
    }
    for node in ["host-0", "customers", "manager"] { session.restart(node) }
    #expect(try session.managerAnswers())
    let start = #"{"TYPE":"START_SESSION","DATA":{"EMAIL":"bob@example.com"}}"#
    _ = try session.publish([SessionWorld.message(QueueNames.fromCustomerServer, start)]) { answers, _ in
      answers.count == 1
    }
    session.world.run(until: session.world.now + .seconds(20))
    let sessions = try session.ask(SessionWorld.manager, "GET", "/CustomerServer").body["SESSIONS"]?.array ?? []
    #expect(sessions.contains { $0["EMAIL"] == "bob@example.com" && $0["STATUS"] == "running" })
    session.world.end()
  }

  @Test("no value of a header stops a queue of the manager", arguments: ManagerSource.allCases)
  func headers(source: ManagerSource) throws {
    let session = SessionWorld(seed: 2)
    let messages = Self.rows(source.queue).flatMap { row in
      Self.headers.map {
        SessionWorld.message(
          source.queue, #"{"TYPE":"\#(row.name)","DATA":\#(row.data.full.text)}"#, headers: $0)
      }
    }
    let count = messages.count
    let (answers, _) = try session.publish(messages) { answers, _ in answers.count == count }
    #expect(answers.count == count, "each request is answered")
    session.restart("manager")
    #expect(try session.managerAnswers())
    session.world.end()
  }

  @Test("no form of a body, type or property stops a queue of the manager", arguments: ManagerSource.allCases)
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
      SessionWorld.message(source.queue, $0, id: "\($0.utf8.count)", correlation: AMQPText(Self.longName))
    }
    let (answers, letters) = try session.publish(messages) { answers, letters in
      answers.count == count && letters.count == count
    }
    #expect(answers.count == count, "each is answered")
    #expect(answers.allSatisfy { $0["STATUS"] == "FAILED" })
    #expect(letters.map(\.body) == messages.map(\.body), "each is set aside, unchanged and in order")
    #expect(letters.allSatisfy { $0.properties.headers?["PARLEY_REASON"]?.text?.isEmpty == false })
    session.restart("manager")
    #expect(try session.managerAnswers())
    session.world.end()
  }

  @Test("an empty reply_to asks for no answer", arguments: [nil, "", "c"])
  func emptyReplyTo(correlation: String?) throws {
    let session = SessionWorld(seed: 4)
    let body = #"{"TYPE":"NEW_USER","DATA":{"USER_ID":1,"CONNECTION":1}}"#
    let message = SessionWorld.message(
      QueueNames.fromUserServer, body, replyTo: "", correlation: correlation.map { AMQPText($0) })
    _ = try session.publish([message], within: .seconds(2)) { _, _ in false }
    session.restart("manager")
    #expect(try session.managerAnswers())
    #expect(try session.ask(SessionWorld.manager, "GET", "/UserServer").body["FREE"] == 1)
    session.world.end()
  }

  /// Every queue that a service reads.
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

  /// A message of the customer reaches the transcript and a user.
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
    "a session of any USER_COUNT is refused or runs, and survives requests for more users", arguments: extremes)
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

  @Test("a message of the greatest depth passes", arguments: [1, 61, 62])
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
