@testable import Environment
@testable import Simulation
@testable import Sim
@testable import System

/// A client of the broker that sends any frames, valid or not.
final class RawAMQP {
  static let token = "a service token"
  static let address = SocketAddress(host: "broker", port: 5672)

  let environment: Environment
  let connection: any Connection
  private var parser = AMQPParser(isServer: false)

  /// Connects, and logs in unless `logsIn` is false. Without `greets` it sends nothing.
  init(
    _ environment: Environment, frameMax: UInt32 = 131_072, logsIn: Bool = true, greets: Bool = true,
    heartbeat: UInt16 = 0,
    heardCancellations: Bool = false
  ) async throws {
    self.environment = environment
    connection = try await environment.network.connect(
      to: Self.address, deadline: environment.clock.now + .seconds(5))
    if greets { try await write(AMQPParser.protocolHeader) }
    guard logsIn else { return }
    _ = try await next()
    try await send(
      .connectionStartOk(
        properties: [
          "capabilities": .table([
            "connection.blocked": .boolean(true), "consumer_cancel_notify": .boolean(heardCancellations),
          ])
        ], mechanism: "PLAIN",
        response: Array("\0parley\0\(Self.token)".utf8), locale: "en_US"), on: 0)
    _ = try await next()
    try await send(.connectionTuneOk(channelMax: 2047, frameMax: frameMax, heartbeat: heartbeat), on: 0)
    try await send(.connectionOpen(virtualHost: "/"), on: 0)
    _ = try await next()
    try await ask(.channelOpen)
  }

  func write(_ bytes: [UInt8], within patience: Duration = .seconds(30)) async throws {
    try await connection.write(bytes, deadline: environment.clock.now + patience)
  }

  func send(_ method: AMQPMethod, on channel: UInt16 = 1) async throws {
    var bytes: [UInt8] = []
    AMQPFrames.write(method, channel, to: &bytes)
    try await write(bytes)
  }

  /// Sends a method and returns the answer.
  @discardableResult
  func ask(_ method: AMQPMethod, on channel: UInt16 = 1) async throws -> AMQPMethod? {
    try await send(method, on: channel)
    return try await next()?.method
  }

  static func publication(
    _ queue: String, exchange: String = "", _ body: [UInt8] = [1], _ channel: UInt16 = 1,
    _ change: (inout AMQPProperties) -> Void = { _ in }
  ) -> [UInt8] {
    var properties = AMQPProperties()
    properties.deliveryMode = 2
    change(&properties)
    var bytes: [UInt8] = []
    AMQPFrames.write(
      .basicPublish(exchange: exchange, routingKey: queue, mandatory: false, immediate: false),
      properties: properties.bytes, body: body, channel, frameMax: 131_072, to: &bytes)
    return bytes
  }

  /// Declares a durable queue.
  @discardableResult
  func declare(_ queue: String, _ arguments: AMQPTable = [:]) async throws -> AMQPMethod? {
    try await ask(.queueDeclare(.init(queue: queue, durable: true, arguments: arguments)))
  }

  /// Gets the next message of a queue. Returns nil when there is none within a time.
  func get(_ queue: String, noAck: Bool = false, within patience: Duration = .zero) async throws -> AMQPCommand? {
    let end = environment.clock.now + patience
    while true {
      try await send(.basicGet(queue: queue, noAck: noAck))
      guard let command = try await next() else { return nil }
      if case .basicGetOk = command.method { return command }
      guard environment.clock.now < end else { return nil }
      try await environment.clock.sleep(for: .milliseconds(20))
    }
  }

  func consume(_ queue: String, _ tag: String, priority: Int32? = nil, on channel: UInt16 = 1) async throws {
    var arguments = AMQPTable()
    arguments["x-priority"] = priority.map(AMQPValue.int32)
    try await ask(.basicConsume(.init(queue: queue, tag: tag, arguments: arguments)), on: channel)
  }

  /// Reads the next deliveries, as `TAG:BODY`.
  func deliveries(_ count: Int) async throws -> [String] {
    var found: [String] = []
    while found.count < count, let command = try await next(within: .seconds(2)) {
      if case .basicDeliver(let consumer, _, _, _, _) = command.method {
        found.append("\(consumer):\(command.body[0])")
      }
    }
    return found
  }

  /// Reads the next command. Returns nil when the broker has closed the connection.
  func next(within patience: Duration = .seconds(30)) async throws -> AMQPCommand? {
    let deadline = environment.clock.now + patience
    while true {
      while let event = try parser.next() { if case .command(let command) = event { return command } }
      let bytes = try await connection.read(atMost: 65_536, deadline: deadline)
      if bytes.isEmpty { return nil }
      parser.receive(bytes)
    }
  }

  /// Reads the code with which the broker closes the channel or the connection. Returns nil when it
  /// answers a close of this client.
  func closing(within patience: Duration = .seconds(30)) async throws -> UInt16? {
    while let command = try await next(within: patience) {
      switch command.method {
      case .channelClose(let code, _, _, _), .connectionClose(let code, _, _, _): return code
      case .channelCloseOk: return nil
      default: continue
      }
    }
    return nil
  }
}

/// A world with a broker.
struct BrokerWorld {
  /// The memory that the broker's node holds for its clients.
  final class Seen: @unchecked Sendable {
    var memory: ClientMemory?
    var clients = 0
  }

  let world: World
  let seen = Seen()

  init(
    seed: UInt64 = 1, before: @escaping @Sendable (Environment) async throws -> Void = { _ in },
    change: @escaping @Sendable (inout BrokerOptions) -> Void = { _ in }
  ) {
    world = World(seed: seed)
    world.addNode("broker") { [seen] environment in
      seen.memory = environment.memory
      try await before(environment)
      var options = BrokerOptions()
      options.address = RawAMQP.address
      options.serviceToken = RawAMQP.token
      change(&options)
      return try await Broker.start(environment, options)
    }.start()
    world.run(until: .milliseconds(50))
  }

  func perform<R: Sendable>(_ body: @escaping @Sendable (Environment) async throws -> R) throws -> R {
    seen.clients += 1
    return try world.perform(as: "client-\(seen.clients)", body)
  }

  func restart() {
    let broker = world.node("broker")!
    broker.crash(.power)
    broker.restart(after: .milliseconds(10))
    world.run(until: world.now + .seconds(1))
  }
}
