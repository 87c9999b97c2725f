@testable import Environment
@testable import Simulation
@testable import Sim
@testable import System

/// A broker, a User Manager, a supervisor host and a Customer Server in a simulated world. The
/// User Service behind the Customer Server is a stand-in that a test scripts.
struct SessionWorld {
  static let token = "a token that services show"
  static let manager = SocketAddress(host: "manager", port: 20000)
  static let customers = SocketAddress(host: "customers", port: 5500)
  static let credentials = SocketAddress(host: "users", port: 8001)
  static let broker = BrokerAddress(
    address: SocketAddress(host: "broker", port: 5672), user: "parley", password: token)
  /// The queue of the answers to messages of `publish`.
  static let answers = "answers"

  let world: World
  let hooks: StartHooks

  /// Starts the nodes. `prepare` runs on a node's disk before its first start.
  init(
    seed: UInt64, hosts: Int = 1, initializeTimeout: Duration = .seconds(5),
    retention: Retention = Retention(), deadLetters: Retention = Retention(),
    prepare: @escaping @Sendable (String, Environment) async throws -> Void = { _, _ in },
    sink: ((TraceEvent) -> Void)? = nil
  ) {
    world = World(seed: seed, sink: sink)
    let hooks = StartHooks(prepare)
    self.hooks = hooks
    add("broker") { environment in
      try await hooks.run("broker", environment)
      var options = BrokerOptions()
      options.address = Self.broker.address
      options.serviceToken = Self.token
      return try await Broker.start(environment, options)
    }
    add("manager") { environment in
      try await hooks.run("manager", environment)
      var options = UserManagerOptions()
      options.address = Self.manager
      options.retention = retention
      options.broker = Self.broker
      options.broker.deadLetterLifetime = deadLetters.age
      options.deadLetters = deadLetters
      options.server.serviceToken = Self.token
      return try await UserManager.start(environment, options)
    }
    add("customers") { environment in
      try await hooks.run("customers", environment)
      var options = CustomerServerOptions()
      options.address = Self.customers
      options.credentials = Self.credentials
      options.broker = Self.broker
      options.server.serviceToken = Self.token
      options.initializeTimeout = initializeTimeout
      return try await CustomerServer.start(environment, options)
    }
    for number in 0..<hosts {
      add("host-\(number)") { environment in
        var options = SupervisorHostOptions()
        options.broker = Self.broker
        return try await SupervisorHost.start(environment, options)
      }
    }
    world.run(until: .seconds(1))
  }

  /// Runs on a node's disk before the node starts.
  final class StartHooks: @unchecked Sendable {
    typealias Hook = @Sendable (String, Environment) async throws -> Void
    private let beforeFirst: Hook
    private var started: Set<String> = []
    /// Runs before each start.
    var beforeEach: Hook?

    init(_ beforeFirst: @escaping Hook) { self.beforeFirst = beforeFirst }

    func run(_ node: String, _ environment: Environment) async throws {
      if started.insert(node).inserted { try await beforeFirst(node, environment) }
      try await beforeEach?(node, environment)
    }
  }

  func add(_ name: String, program: @escaping SimNode.Program) { world.addNode(name, program: program).start() }

  /// Kills a node without warning and lets it start again.
  func restart(_ name: String) {
    let node = world.node(name)!
    node.crash(.power)
    node.restart(after: .milliseconds(100))
    world.run(until: world.now + .seconds(2))
  }

  /// A message with this body, which need not be valid.
  static func message(
    _ queue: String, _ body: String, id: String? = nil, replyTo: String? = answers, correlation: AMQPText? = "c",
    headers: AMQPTable? = nil
  ) -> AMQPMessage {
    var properties = AMQPProperties()
    properties.messageID = id.map { AMQPText($0) }
    properties.replyTo = replyTo.map { AMQPText($0) }
    properties.correlationID = correlation
    properties.headers = headers
    return AMQPMessage(exchange: "", routingKey: queue, properties: properties, body: Array(body.utf8))
  }

  /// Publishes messages. Returns the answers and dead letters once `isDone` is true of them, or
  /// after `limit`.
  func publish(
    _ messages: [AMQPMessage], answers: String = answers, within limit: Duration = .seconds(120),
    until isDone: @escaping @Sendable ([JSONValue], [AMQPDelivery]) -> Bool
  ) throws -> (answers: [JSONValue], letters: [AMQPDelivery]) {
    try world.perform(as: "publisher-\(world.now)") { environment in
      let client = AMQPClient(environment, broker: Self.broker)
      await client.declare(QueueNames.declarations + [.queue(answers, exchange: "")])
      let heard = Heard()
      await client.consume(answers) { deliveries in
        for delivery in deliveries { heard.answers.append(try JSONParser.parse(delivery.body)) }
      }
      await client.consume(QueueNames.deadLetters) { deliveries in heard.letters += deliveries }
      client.start()
      try await client.publish(messages)
      let end = environment.clock.now + limit
      while !isDone(heard.answers, heard.letters), environment.clock.now < end {
        try await environment.clock.sleep(for: .milliseconds(20))
      }
      await client.close()
      return (heard.answers, heard.letters)
    }
  }

  private final class Heard: @unchecked Sendable {
    var answers: [JSONValue] = []
    var letters: [AMQPDelivery] = []
  }

  /// Whether each queue of the manager answers a valid request. The queue of answers is a new one,
  /// since earlier answers may be redelivered after a restart.
  func managerAnswers() throws -> Bool {
    let queue = "probes-\(world.now)"
    let probes = [
      Self.message(
        QueueNames.fromUserServer, #"{"TYPE":"REMOVE_USER","DATA":{"USER_ID":"nobody","CONNECTION":1}}"#,
        replyTo: queue),
      Self.message(
        QueueNames.fromCustomerServer, #"{"TYPE":"END_SESSION","DATA":{"EMAIL":"nobody@example.com"}}"#,
        replyTo: queue),
      Self.message(
        QueueNames.fromSupervisors, #"{"TYPE":"HEARTBEAT","DATA":{"HOST":"probe"}}"#, replyTo: queue),
    ]
    let (answers, _) = try publish(probes, answers: queue, within: .seconds(20)) { answers, _ in
      answers.count == probes.count
    }
    return answers == probes.map { _ in ["STATUS": "SUCCESS"] }
  }

  /// Sends a request to a service, with the service token.
  @discardableResult
  func ask(
    _ service: SocketAddress, _ method: String, _ path: String, _ body: JSONValue? = nil,
    fields: [(name: String, value: String)] = []
  ) throws -> (status: Int, body: JSONValue, fields: [(name: String, value: String)]) {
    try world.perform(as: "caller-\(world.now)") { environment in
      let client = HTTPClient(environment, address: service)
      defer { client.close() }
      let response = try await client.send(
        method, path, fields: [("authorization", "Bearer \(Self.token)")] + fields, json: body, timeout: .seconds(30))
      return (response.status, (try? JSONParser.parse(response.body)) ?? .null, response.fields)
    }
  }
}
