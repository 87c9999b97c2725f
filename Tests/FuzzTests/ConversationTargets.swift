@testable import Environment
@testable import Simulation
@testable import Sim
@testable import System

/// The choices of an attack from a fuzzer's input: one byte for each choice among few. After the
/// end of the input every choice is the first.
final class InputBytes: AttackSource {
  private var rest: ArraySlice<UInt8>

  init(_ input: [UInt8]) { rest = input[...] }

  var isSpent: Bool { rest.isEmpty }

  func number(below bound: Int) -> Int {
    guard bound > 1 else { return 0 }
    var number = 0
    for _ in 0..<(bound <= 256 ? 1 : 2) { number = number << 8 | Int(rest.popFirst() ?? 0) }
    return number % bound
  }
}

extension FuzzTarget {
  /// Whole conversations with the services in a simulated world. Afterwards each service is killed
  /// and started again, since stored data may be harmful. Then all have to serve an ordinary
  /// client.
  static let conversations = [
    conversation("amqp", "name: 'amqp', topology: { broker: 1 }", [.amqp]),
    conversation("sockets", "name: 'sockets', topology: { chat: 1 }", [.sockets]),
    conversation("http-users", "name: 'users'", [.http]),
    conversation("http-chat", "name: 'chat', topology: { chat: 1 }", [.http]),
    conversation("http-sessions", "name: 'sessions', topology: { supervisorHosts: 1 }", [.http]),
    conversation("queues", "name: 'queues', topology: { supervisorHosts: 1 }", [.queues]),
    conversation("everything", "name: 'everything', topology: { supervisorHosts: 1 }", ConnectionKind.allCases),
  ]

  /// The most scheduler steps of an input.
  private static let mostSteps = 3_000_000

  private static func conversation(_ name: String, _ scenario: String, _ kinds: [ConnectionKind]) -> FuzzTarget {
    FuzzTarget("conversation-\(name)") { input in
      let runner = ScenarioRunner(try! Scenario(parsing: Array("{ \(scenario) }".utf8), file: name))
      let world = World(seed: 1, isHashed: false, strategy: { _ in InOrder(profiling: false) })
      defer { world.end() }
      let nodes = runner.scenario.serviceNodes.map { world.addNode($0, program: runner.program(of: $0)) }
      for node in nodes { node.start() }
      run(world, until: .seconds(4))
      let source = Confined(InputBytes(input))
      let done = Done()
      world.addNode("eve") { environment in
        let conversation = AttackConversation(
          environment, source: source.value, persona: AttackPersona(name: "eve", isAlone: true),
          services: runner.scenario.attackedServices, serviceToken: Scenario.serviceToken)
        try await conversation.introduce()
        while !source.value.isSpent { try await conversation.hold(source.value.pick(kinds)) }
        conversation.end()
        require(conversation.blunders.isEmpty, conversation.blunders.joined(separator: "\n"))
        done.isTrue = true
        return nil
      }.start()
      run(world, until: .seconds(3600)) { done.isTrue }
      require(done.isTrue, "the conversation does not end:\n\(world.waits)")
      run(world, until: world.now + .seconds(3))
      for node in nodes { node.crash(.kill) }
      for node in nodes { node.restart(after: .milliseconds(10)) }
      run(world, until: world.now + .seconds(60)) { nodes.allSatisfy(\.isServing) }
      require(nodes.allSatisfy(\.isServing), "a service does not start again:\n\(world.waits)")
      politeVisit(world, runner)
      require(world.defects.isEmpty, world.defects.joined(separator: "\n"))
    }
  }

  private final class Done: @unchecked Sendable {
    var isTrue = false
  }

  /// Runs the world within the bound for its steps.
  private static func run(_ world: World, until time: Duration, stop: () -> Bool = { false }) {
    world.run(until: time) { stop() || world.scheduler.steps > mostSteps }
    require(world.scheduler.steps <= mostSteps, "more than \(mostSteps) steps at \(world.now):\n\(world.waits)")
  }

  /// An ordinary client: every service reports its health, and the broker delivers a message.
  private static func politeVisit(_ world: World, _ runner: ScenarioRunner) {
    let done = Done()
    world.addNode("ann") { environment in
      for service in runner.scenario.attackedServices {
        let client = HTTPClient(environment, address: service.address)
        while try await client.send("GET", "/health", timeout: .seconds(5)).status != 200 {
          try await environment.clock.sleep(for: .seconds(1))
        }
        client.close()
      }
      if runner.scenario.hasBroker { try await deliver(environment) }
      done.isTrue = true
      return nil
    }.start()
    run(world, until: world.now + .seconds(120)) { done.isTrue }
    require(done.isTrue, "a polite client is not served:\n\(world.waits)")
  }

  private static func deliver(_ environment: Environment) async throws {
    let heard = Done()
    let client = AMQPClient(environment, broker: Scenario.broker)
    await client.declare([.exchange("ann-x"), .queue("ann-q", exchange: "ann-x")])
    client.start()
    await client.consume("ann-q") { _ in heard.isTrue = true }
    try await client.publish(
      AMQPMessage(exchange: "ann-x", routingKey: "ann-q", properties: AMQPProperties(), body: [1]))
    while !heard.isTrue { try await environment.clock.sleep(for: .milliseconds(100)) }
    await client.close()
  }
}
