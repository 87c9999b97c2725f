@testable import Environment
@testable import Simulation
@testable import System
import Testing

@testable import Sim

/// A service that shows more rows than it serves.
private struct Extended: TabledService {
  let base: any TabledService

  static let route = Route(
    "POST", "/brand-new", "A route that was just added",
    body: .object([.init("username", .string()), .init("group_id", .integer(minimum: 1))]),
    responses: [.init(200, "Done")]
  ) { _ in .json(.null) }
  static let event = MessageRow(.receive, "/", "brand_new", "An event that was just added", .object([]))
  static let message = MessageRow(
    .receive, "UME_USER_SERVER", "BRAND_NEW", "A message that was just added", .object([]))

  var addresses: [(name: String, address: SocketAddress)] { base.addresses }
  var address: SocketAddress { base.address }
  var routes: [Route] { base.routes + [Self.route] }
  var errorSchema: Schema { base.errorSchema }
  var messages: [MessageTable] {
    base.messages + [
      MessageTable(.socketIO, [Self.event]),
      MessageTable(.queues(exchanges: ["UME_USER_SERVER": "USER_MANAGER_EXCHANGE"]), [Self.message]),
    ]
  }

  func drain() async { await base.drain() }
}

@Suite("Callers")
struct CallerTests {
  private static let everything = """
    { name: "calls", topology: { supervisorHosts: 1 }, run: "40s",
      people: [{ name: "cal", role: "caller", count: 3, devices: 2, thinkTime: "50ms" }] }
    """

  /// Runs the callers of a scenario. The service of `node` is replaced by an extended one.
  private static func history(_ text: String, seed: UInt64, extending node: String? = nil) throws -> CallerHistory {
    let scenario = try Scenario(parsing: Array(text.utf8), file: "test")
    let world = World(seed: seed, isHashed: false)
    defer { world.end() }
    let runner = ScenarioRunner(scenario)
    let services = scenario.serviceNodes.map { name in
      let program = runner.program(of: name)
      return world.addNode(name) { environment in
        let service = try await program(environment)
        guard name == node, let tabled = service as? any TabledService else { return service }
        return Extended(base: tabled)
      }
    }
    let histories = Histories(now: { world.scheduler.now }, wall: { 0 })
    let users = scenario.users(
      world.choices, histories, ServedTables(of: services), manager: nil, token: Scenario.serviceToken)
    for user in users {
      let confined = Confined(user)
      world.addNode(user.name) { environment in
        try await confined.value.live(environment)
        return nil
      }
    }
    for node in world.nodes { node.start() }
    world.run(until: .seconds(600)) { users.allSatisfy(\.isServed) }
    let waiting = users.filter { !$0.isServed }.map(\.lastSeen)
    #expect(waiting.isEmpty, "\(world.waits)")
    return histories.callers
  }

  @Test("a route, an event and a queue message are called as soon as they are in a table")
  func newRows() throws {
    let history = try Self.history(Self.everything, seed: 1, extending: "chat")
    #expect(history.calls.contains { $0.row.route.path == "/brand-new" })
    #expect(history.emits.contains { $0.event.name == "brand_new" })
    #expect(history.published.contains { $0.name == "BRAND_NEW" })
  }

  @Test("callers call every row of every table, and nearly every one with success")
  func everyRow() throws {
    var routes: Set<String> = []
    var good: Set<String> = []
    var messages: Set<String> = []
    var methods: Set<String> = []
    var (calls, answers) = (0, 0)
    for seed in 1...4 as ClosedRange<UInt64> {
      let history = try Self.history(Self.everything, seed: seed)
      for call in history.calls {
        let name = "\(call.row.service) \(call.row.name)"
        routes.insert(name)
        guard let status = call.status else { continue }
        calls += 1
        if status < 300 {
          good.insert(name)
          answers += 1
        }
      }
      methods.formUnion(history.methods)
      for emit in history.emits { messages.insert("\(emit.event.channel) \(emit.event.name)") }
      for row in history.published { messages.insert("\(row.channel) \(row.name)") }
    }
    let world = World(seed: 1, isHashed: false)
    defer { world.end() }
    let scenario = try Scenario(parsing: Array(Self.everything.utf8), file: "test")
    let services = scenario.serviceNodes.map { world.addNode($0, program: ScenarioRunner(scenario).program(of: $0)) }
    for node in services { node.start() }
    world.run(until: .seconds(5))
    let tables = ServedTables(of: services)
    #expect(tables.read())
    #expect(tables.routes.count > 60)
    for row in tables.routes { #expect(routes.contains("\(row.service) \(row.name)"), "\(row.service) \(row.name)") }
    for call in tables.events + tables.messages {
      #expect(messages.contains("\(call.row.channel) \(call.row.name)"), "\(call.row.channel) \(call.row.name)")
    }
    for row in AMQPMethodRow.all where row.sender == .client && row.isServed && row.classID != 10 {
      #expect(methods.contains(row.name), "\(row.name)")
    }
    let never = routes.subtracting(good).sorted()
    #expect(answers * 5 > calls * 2, "\(answers) of \(calls)")
    // The simulated User Manager does not know the User Service: it refuses changes of accounts.
    let unsent = never.filter { !$0.contains("/socket.io/") && !$0.contains("manager POST /operator/users/") }
    #expect(unsent.count <= 4, "never with success: \(unsent)")
  }

  @Test("a value is learned under the names of all fields that hold it")
  func kinds() {
    #expect(ValueKind.all(of: "sessionID") == ValueKind.all(of: "session_id"))
    #expect(ValueKind.all(of: "contact") == ["username"])
    #expect(ValueKind.all(of: "recipient_id") == ["userid", "groupid"])
    #expect(ValueKind.all(of: "content") == [])
    let known = KnownValues()
    known.learn(["members": ["ann", "bob"], "group_id": 7, "messages": [["seq": 3]]], named: "")
    #expect(known.count("username") == 2)
    #expect(known.has("groupid") && known.has("seq"))
    known.lose(7, named: "group_id")
    #expect(!known.has("groupid"))
  }
}
