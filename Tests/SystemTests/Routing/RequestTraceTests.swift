import Testing

@testable import Environment
@testable import Sim
@testable import Simulation
@testable import System

/// The ids of one request, on its way through all services.
@Suite("Traces of requests")
struct RequestTraceTests {
  private static let fields: [(name: String, value: String)] = [
    ("X-Request-ID", "order-66"), ("traceparent", TraceContextTests.parent), ("tracestate", "vendor=1"),
  ]

  /// The bytes that nodes sent, and the lines that they logged.
  private final class Seen {
    var sent: [(node: String, bytes: [UInt8])] = []
    var logged: [Log.Record] = []

    func take(_ event: TraceEvent) {
      if let record = event.record { logged.append(record) }
      if let transfer = event.transfer, !transfer.bytes.isEmpty { sent.append((event.node, transfer.bytes)) }
    }

    /// The nodes that sent a text.
    func senders(of text: String) -> Set<String> {
      let wanted = Array(text.utf8)
      return Set(sent.filter { $0.bytes.firstRange(of: wanted) != nil }.map(\.node))
    }
  }

  @Test("a request for a session has its ids in all services and queues, and in its log lines")
  func goesThrough() throws {
    let seen = Seen()
    let session = SessionWorld(seed: 1, sink: { seen.take($0) })
    CustomerSessionTests.addUsers(session)
    let request: JSONValue = ["EMAIL": "ann@example.com", "PASSWORD": "right", "PERSONA_TYPE": "CUSTOMERS"]
    seen.sent = []
    let requested = try session.ask(
      SessionWorld.customers, "POST", "/requestSessionCreation", request, fields: Self.fields)
    #expect(requested.status == 200)
    #expect(requested.fields.contains { $0.name == "x-request-id" && $0.value == "order-66" })
    #expect(seen.senders(of: "00-\(TraceContextTests.trace)").contains("customers"))
    #expect(seen.logged.contains { $0.node == "users" && $0.event == "request" && Self.isTraced($0) })

    seen.sent = []
    seen.logged = []
    let started = try session.ask(
      SessionWorld.customers, "POST", "/initializeSession", ["EMAIL": "ann@example.com"], fields: Self.fields)
    #expect(started.status == 200)
    session.world.run(until: session.world.now + .seconds(3))
    for text in ["00-\(TraceContextTests.trace)", "order-66", "vendor=1"] {
      #expect(seen.senders(of: text).isSuperset(of: ["customers", "broker", "manager", "host-0"]), "\(text)")
    }
    let lines = seen.logged.filter { $0.node == "customers" && $0.event == "request" }
    #expect(!lines.isEmpty && lines.allSatisfy(Self.isTraced))
    session.world.end()
  }

  private static func isTraced(_ record: Log.Record) -> Bool {
    record.fields.contains { $0.key == "request_id" && $0.value == "order-66" }
      && record.fields.contains { $0.key == "trace_id" && $0.value == .string(TraceContextTests.trace) }
  }

  @Test("a message that is set aside is logged with the ids of its request")
  func deadLetter() throws {
    let seen = Seen()
    let session = SessionWorld(seed: 2, sink: { seen.take($0) })
    let headers: AMQPTable = [
      "traceparent": .text(TraceContextTests.parent), "X-Request-ID": .text("order-66"),
    ]
    let (_, letters) = try session.publish(
      [SessionWorld.message(QueueNames.fromSupervisors, "not JSON", headers: headers)]) { _, letters in !letters.isEmpty
      }
    #expect(letters.first?.properties.headers?["X-Request-ID"]?.text == "order-66")
    let line = try #require(seen.logged.first { $0.event == "dead-letter" })
    #expect(Self.isTraced(line))
    session.world.end()
  }

  @Test("a request without ids gets new ones, and none that begins in it outlives it")
  func made() throws {
    let seen = Seen()
    let session = SessionWorld(seed: 3, sink: { seen.take($0) })
    CustomerSessionTests.addUsers(session)
    for _ in 0..<2 {
      try session.ask(SessionWorld.customers, "POST", "/handleStatus", [:], fields: [("X-Request-ID", "not valid")])
    }
    let lines = seen.logged.filter { $0.node == "customers" && $0.event == "request" }
    let ids = lines.map { line in line.fields.filter { $0.key.hasSuffix("_id") }.map(\.value.text) }
    #expect(ids.count == 2 && ids.allSatisfy { $0.count == 2 } && ids[0] != ids[1])
    session.world.run(until: session.world.now + .seconds(10))
    let background = seen.logged.filter { $0.node == "manager" && $0.event != "request" }
    #expect(background.allSatisfy { !$0.fields.contains { $0.key == "trace_id" } })
    session.world.end()
  }
}
