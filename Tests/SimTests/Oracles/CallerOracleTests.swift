@testable import Environment
@testable import Simulation
@testable import System
import Testing

@testable import Sim

/// Shows that the oracles over callers judge histories as they should.
@Suite("Oracles over callers")
struct CallerOracleTests {
  private static let row = CallRow(
    "chat", SocketAddress(host: "chat", port: 1),
    Route(
      "GET", "/messages", "Messages", arguments: [.init("limit", .integer())],
      responses: [.init(200, "The messages", .array(of: .object([.init("seq", .integer(minimum: 1))])))]
    ) { _ in .json(.null) }, errors: .object([.init("error", .string())]))

  private static func call(_ position: Int, _ ending: CallerRequest.Ending) -> CallerRequest {
    var interval = Interval(invoked: position, invokedAt: Int64(position))
    (interval.answered, interval.answeredAt) = (position + 1, Int64(position) + 1)
    return CallerRequest(person: "cal", row: row, what: "GET /messages", interval: interval, ending: ending, log: 0)
  }

  private static func answer(
    _ status: Int, _ places: [Int64] = [], _ fields: [(name: String, value: String)] = [],
    without missing: String = ""
  ) -> CallerRequest.Ending {
    let all = [("date", "Sat, 01 Jan 2000 00:00:00 GMT"), ("x-request-id", "a")] + fields
    return .answered(
      HTTPResponse(
        status: status, fields: all.filter { $0.0 != missing }.map { (name: $0.0, value: $0.1) },
        body: JSONValue.array(places.map { ["seq": .int($0)] }).bytes))
  }

  private static func evidence(
    _ endings: [CallerRequest.Ending], emits: [CallerEvent] = [], surplus: [String] = [],
    disturbances: [ClosedRange<Int64>] = []
  ) -> CallerEvidence {
    let history = CallerHistory { 0 }
    history.calls = endings.enumerated().map { call($0.offset * 2, $0.element) }
    history.emits = emits
    history.surplus = surplus
    return CallerEvidence(history, disturbances: disturbances)
  }

  @Test("a request without an answer needs a fault, and nothing follows the last answer")
  func answered() {
    #expect(CallerOracles.answered(Self.evidence([.unanswered])).count == 1)
    #expect(CallerOracles.answered(Self.evidence([.unanswered], disturbances: [0...9])).isEmpty)
    #expect(CallerOracles.answered(Self.evidence([.garbled("x")])).count == 1)
    #expect(CallerOracles.answered(Self.evidence([], surplus: ["chat sends HTTP/1.1 200"])).count == 1)
    #expect(CallerOracles.answered(Self.evidence([.connectionEnded, .hungUp, Self.answer(200)])).isEmpty)
  }

  @Test("a status that the row does not name is found, and a 503 without a fault")
  func documented() {
    for status in [201, 404, 500, 503] {
      #expect(CallerOracles.documented(Self.evidence([Self.answer(status)])).count == 1)
    }
    for status in [200, 400, 413] { #expect(CallerOracles.documented(Self.evidence([Self.answer(status)])).isEmpty) }
    #expect(CallerOracles.documented(Self.evidence([Self.answer(503)], disturbances: [0...9])).isEmpty)
    #expect(CallerOracles.documented(Self.evidence([Self.answer(500)], disturbances: [0...9])).count == 1)
  }

  @Test("the fields of every answer are judged")
  func fields() {
    func breaches(_ ending: CallerRequest.Ending, _ spelling: RequestSpelling = RequestSpelling()) -> Int {
      let history = CallerHistory { 0 }
      history.calls = [Self.call(0, ending)]
      history.calls[0].spelling = spelling
      return CallerOracles.documented(CallerEvidence(history)).count
    }
    #expect(breaches(Self.answer(200)) == 0)
    #expect(breaches(Self.answer(200, without: "date")) == 1)
    #expect(breaches(Self.answer(200, without: "x-request-id")) == 1)
    #expect(breaches(Self.answer(415)) == 1)
    #expect(breaches(Self.answer(200, [], [("connection", "close")])) == 1)
    #expect(breaches(Self.answer(400, [], [("connection", "close")])) == 0)
    var spelling = RequestSpelling()
    spelling.requestID = "b"
    #expect(breaches(Self.answer(200), spelling) == 1)
    spelling = RequestSpelling()
    (spelling.isVersion10, spelling.keepsAlive) = (true, true)
    #expect(breaches(Self.answer(200), spelling) == 1)
    #expect(breaches(Self.answer(200, [], [("connection", "keep-alive")]), spelling) == 0)
    spelling.keepsAlive = false
    #expect(breaches(Self.answer(200, [], [("connection", "keep-alive")]), spelling) == 1)
    #expect(breaches(Self.answer(200, [], [("connection", "close")]), spelling) == 0)
  }

  @Test("an answer and an event of another shape than that of their row are found")
  func answersHaveTheirShapes() throws {
    let scenario = try Scenario(parsing: Array("{ name: 'x', topology: { chat: 1 } }".utf8), file: "x")
    let world = World(seed: 1)
    defer { world.end() }
    let nodes = ["users", "chat"].map { world.addNode($0, program: ScenarioRunner(scenario).program(of: $0)) }
    for node in nodes { node.start() }
    world.run(until: .seconds(2))
    let tables = ServedTables(of: nodes)
    #expect(tables.read())
    func strange(_ note: (CallLog) -> Void) -> Int {
      let log = CallLog { 0 }
      note(log)
      return ShapeEvidence(log, tables).strange.count
    }
    func answer(_ status: Int, _ body: JSONValue) -> Int {
      strange { $0.end($0.begin("ann", at: "users", "POST /login", [:]), status: status, body) }
    }
    #expect(answer(200, ["success": true]) == 1)
    #expect(answer(401, ["detail": "no"]) == 0)
    #expect(answer(401, ["error": "no"]) == 1)
    #expect(answer(413, .null) == 1)
    func event(_ name: String, _ data: JSONValue) -> Int {
      strange { $0.received($0.open("ann", namespace: "/", session: "s"), name, data) }
    }
    #expect(event("contact_request", ["user_id": 1, "username": "bob"]) == 0)
    #expect(event("contact_request", ["user_id": 1]) == 1)
    #expect(event("contact_asked", ["user_id": 1, "username": "bob"]) == 1)
    #expect(
      strange { log in
        let socket = log.open("ann", namespace: "/", session: "s")
        log.end(log.begin(socket, "add_contact", [:]), acknowledgement: ["status": "fine"])
      } == 1)
  }

  @Test("a request is read alike in each of its spellings")
  func spellings() throws {
    let route = Route(
      "POST", "/x", "X",
      arguments: [.init("a", .integer()), .init("b", .string()), .init("c", .array(of: .string()), isRequired: false)],
      responses: [.init(200, "Done")]
    ) { .json($0.body) }
    let row = CallRow("chat", SocketAddress(host: "chat", port: 1), route, errors: .any)
    let members: [JSONValue.Member] = [.init("a", 7), .init("b", "ä \"b"), .init("c", ["x", "y&="])]
    let stream = Choices(seed: 1, hash: RunHash()).stream("spelling")
    var spelled: Set<[UInt8]> = []
    for _ in 0..<400 {
      let request = CallRequest(
        row, members, headers: [], token: nil, proof: "t", RequestSpelling(for: route, stream))
      #expect(request.sent["a"] == 7 && request.sent["b"] == "ä \"b" && request.sent["c"] == ["x", "y&="])
      spelled.insert(request.bytes)
      var parser = HTTPRequestParser(limits: HTTPLimits())
      parser.receive(request.bytes)
      var read: HTTPRequest?
      loop: while true {
        switch try parser.next() {
        case .request(let whole):
          read = whole
          break loop
        case .expectsContinue: continue
        case nil: break loop
        }
      }
      let whole = try #require(read)
      let arguments = try RequestBody.arguments(whole, route.arguments!)
      #expect(arguments["a"] == 7 && arguments["b"] == "ä \"b" && arguments["c"] == ["x", "y&="])
      #expect(whole.path == "/x" && whole.fields["authorization"]?.lowercased() == "bearer t")
    }
    #expect(spelled.count > 50)
  }

  @Test("a repeated key with another answer is found")
  func sameKey() throws {
    let event = try #require(ChatEventTable.table.row("send_message", in: "/"))
    func emit(_ key: String, _ id: Int64, session: JSONValue = "s") -> CallerEvent {
      CallerEvent(
        person: "cal", event: event, data: ["client_id": .string(key)], session: session,
        interval: Interval(invoked: 0, invokedAt: 0), answer: ["status": "ok", "message_id": .int(id)])
    }
    #expect(CallerOracles.sameKey(Self.evidence([], emits: [emit("a", 1), emit("a", 2)])).count == 1)
    #expect(CallerOracles.sameKey(Self.evidence([], emits: [emit("a", 1), emit("a", 1), emit("b", 2)])).isEmpty)
    #expect(CallerOracles.sameKey(Self.evidence([], emits: [emit("a", 1), emit("a", 2, session: "t")])).isEmpty)
  }

  @Test("a list that has lost its last entry is found")
  func readsForward() {
    #expect(CallerOracles.readsForward(Self.evidence([Self.answer(200, [1, 2]), Self.answer(200, [1])])).count == 1)
    #expect(CallerOracles.readsForward(Self.evidence([Self.answer(200, [1]), Self.answer(200, [1, 2])])).isEmpty)
    #expect(CallerOracles.readsForward(Self.evidence([Self.answer(200, [1]), Self.answer(404)])).isEmpty)
  }

  @Test("a row that breaks a promise of its table is found at the end of a run")
  func unsound() throws {
    let scenario = try Scenario(parsing: Array("{ name: 'x' }".utf8), file: "x")
    let world = World(seed: 1)
    defer { world.end() }
    let program = ScenarioRunner(scenario).program(of: "users")
    let users = world.addNode("users") { environment in
      let database = Database(environment, path: "accounts.db", migrations: UserService.database.migrations)
      try await database.transaction {
        try await $0.execute("INSERT OR IGNORE INTO deleted_users (event_id, user_id) VALUES (9, 'nobody')")
      }
      await database.close()
      return try await program(environment)
    }
    users.start()
    world.run(until: .seconds(2))
    #expect(
      DirectoryCheck.faults(of: users.files, isComparing: true) == [
        "accounts.db: the event of a deleted user is not above the last event: event 9"
      ])
    let oracle = try #require(Oracle.all.first { $0.name == "sound" })
    #expect(oracle.violations(in: Evidence(run: RunEvidence(unsound: ["a fault"]))).count == 1)
    #expect(oracle.violations(in: Evidence()).isEmpty)
  }

  @Test("a connection that stays open is what an idle service would not hold")
  func leftovers() throws {
    let scenario = try Scenario(parsing: Array("{ name: 'x' }".utf8), file: "x")
    let world = World(seed: 1)
    defer { world.end() }
    let users = world.addNode("users", program: ScenarioRunner(scenario).program(of: "users"))
    users.start()
    world.run(until: .seconds(2))
    let idle = Inventory(of: [users])
    world.addNode("ann") { environment in
      let connection = try await environment.network.connect(
        to: Scenario.usersAddress, deadline: environment.clock.now + .seconds(1))
      try await environment.clock.sleep(for: .seconds(8))
      connection.close()
      return nil
    }.start()
    world.run(until: .seconds(4))
    let excess = Inventory(of: [users]).excess(over: idle)
    #expect(excess.contains { $0.contains("System.HTTPServer.clients: 1, and 0") }, "\(excess)")
    #expect(excess.contains { $0.contains("task connection") }, "\(excess)")
    world.run(until: .seconds(15))
    #expect(Inventory(of: [users]).excess(over: idle) == [])
  }

  @Test("a pool of connections forgets those that a burst of requests has opened")
  func pool() throws {
    let scenario = try Scenario(parsing: Array("{ name: 'x' }".utf8), file: "x")
    let world = World(seed: 1)
    defer { world.end() }
    world.addNode("users", program: ScenarioRunner(scenario).program(of: "users")).start()
    world.run(until: .seconds(2))
    let idle = try world.perform { environment in
      let pool = HTTPClientPool(environment, address: Scenario.usersAddress)
      await withTaskGroup { group in
        for _ in 0..<5 {
          group.addTask { _ = try? await pool.ask("GET", "/health", timeout: .seconds(1)) }
        }
      }
      let most = Holdings(of: pool).counts["System.HTTPClientPool.idle"]
      for _ in 0..<40 {
        try await environment.clock.sleep(for: .seconds(1))
        _ = try await pool.ask("GET", "/health", timeout: .seconds(1))
      }
      return [most, Holdings(of: pool).counts["System.HTTPClientPool.idle"]]
    }
    #expect(idle == [5, 1])
  }

  @Test("empty places of a collection count as nothing")
  func places() {
    var queue = EntryRun()
    for id in 1...3 as ClosedRange<Int64> {
      queue.append(QueueEntry(id: id, message: nil, expires: 0, isDurable: true))
    }
    func count() -> Int? { Holdings(of: queue).counts["System.EntryRun.entries"] }
    #expect(count() == 3)
    _ = queue.removeFirst()
    #expect(count() == 2)
  }

  @Test("arguments that do not have the shape of their row are refused")
  func malformed() {
    var call = Self.call(0, Self.answer(200))
    let history = CallerHistory { 0 }
    history.calls = [call]
    #expect(CallerOracles.documented(CallerEvidence(history)).isEmpty)
    call.isMalformed = true
    history.calls = [call]
    #expect(CallerOracles.documented(CallerEvidence(history)).count == 1)
  }

  @Test("the shape of a value is judged as the services do")
  func shapes() {
    let text = Schema.string(.init(minimumLength: 1, maximumLength: 3))
    let row = Schema.object([
      .init("a", text), .init("b", .array(of: .integer(minimum: 1), maximum: 2), isRequired: false),
    ])
    let values: [(JSONValue, Bool)] = [
      (["a": "x"], true), (["a": "xyz", "b": [1, 2], "c": true], true), ([:], false), (["a": ""], false),
      (["a": "wxyz"], false), (["a": 1], false), (["a": "x", "b": [0]], false), (["a": "x", "b": [1, 2, 3]], false),
      ([], false), (.null, false),
    ]
    for (value, isFit) in values {
      #expect(row.fits(value) == isFit, "\(value.text)")
      #expect((row.fault(in: value) == nil) == isFit, "\(value.text)")
    }
    #expect(Schema.integer().inQuery(["7"]) == 7)
    #expect(Schema.boolean.inQuery(["true"]) == true)
    #expect(Schema.integer().inQuery(["x"]) == "x")
  }
}
