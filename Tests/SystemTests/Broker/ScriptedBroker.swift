@testable import Environment
@testable import Simulation
@testable import Sim
@testable import System

/// A broker with scripted answers, valid or not. Used in one simulated world.
final class ScriptedBroker: @unchecked Sendable {
  static let address = SocketAddress(host: "peer", port: 5672)

  var channelMax: UInt16 = 2047
  var frameMax: UInt32 = 131_072
  var heartbeat: UInt16 = 0
  /// Bytes to send in place of the handshake.
  var greeting: [UInt8]?
  /// Bytes to send once a connection is open.
  var opening: [UInt8] = []
  /// The answer to a command; nil for the usual one.
  var answer: (AMQPCommand) -> [UInt8]? = { _ in nil }
  /// Whether it confirms publications.
  var confirms = true
  /// Whether it sends heartbeats.
  var beats = true

  private(set) var connections = 0
  private(set) var commands: [AMQPCommand] = []
  /// The bodies of the publications that it accepted.
  private(set) var published: [String] = []
  private var tag: UInt64 = 0
  private var connection: (any Connection)?
  private var sending: Set<Int> = []

  static func bytes(_ method: AMQPMethod, _ channel: UInt16 = 0) -> [UInt8] {
    var bytes: [UInt8] = []
    AMQPFrames.write(method, channel, to: &bytes)
    return bytes
  }

  static func delivery(_ tag: UInt64, _ channel: UInt16, properties: [UInt8] = [0, 0], _ body: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = []
    AMQPFrames.write(
      .basicDeliver(consumer: "c", tag: tag, redelivered: false, exchange: "", routingKey: "q"),
      properties: properties, body: body, channel, frameMax: 131_072, to: &bytes)
    return bytes
  }

  /// Creates a world in which it listens.
  func world() -> World {
    let world = World(seed: 1)
    world.addNode("peer") { environment in
      let listener = try environment.network.listen(Self.address, backlog: 16)
      while true {
        let connection = try await listener.accept()
        self.connections += 1
        self.connection = connection
        let number = self.connections
        environment.executor.spawn("peer") { try? await self.serve(connection, number, environment) }
      }
    }.start()
    return world
  }

  /// Breaks the latest connection.
  func resetConnection() { connection?.reset() }

  private func serve(_ connection: any Connection, _ number: Int, _ environment: Environment) async throws {
    var parser = AMQPParser(isServer: true)
    tag = 0
    let start = Self.bytes(.connectionStart(properties: [:], mechanisms: "PLAIN", locales: "en_US"))
    try await send(greeting ?? start, connection, number, environment)
    if greeting == nil {
      environment.executor.spawn("peer-beat") { try? await self.beat(connection, number, environment) }
    }
    while true {
      let bytes = try await connection.read(atMost: 65_536, deadline: nil)
      if bytes.isEmpty { return }
      parser.receive(bytes)
      while let event = try parser.next() {
        guard case .command(let command) = event else { continue }
        commands.append(command)
        let output = answer(command) ?? usualAnswer(command)
        if !output.isEmpty { try await send(output, connection, number, environment) }
      }
    }
  }

  private func beat(_ connection: any Connection, _ number: Int, _ environment: Environment) async throws {
    var heartbeat: [UInt8] = []
    AMQPFrames.writeHeartbeat(to: &heartbeat)
    while true {
      try await environment.clock.sleep(for: .seconds(1))
      if beats, !sending.contains(number) { try await send(heartbeat, connection, number, environment) }
    }
  }

  private func send(_ bytes: [UInt8], _ connection: any Connection, _ number: Int, _ environment: Environment)
    async throws
  {
    sending.insert(number)
    defer { sending.remove(number) }
    try await connection.write(bytes, deadline: environment.clock.now + .seconds(100))
  }

  private func usualAnswer(_ command: AMQPCommand) -> [UInt8] {
    switch command.method {
    case .connectionStartOk:
      return Self.bytes(.connectionTune(channelMax: channelMax, frameMax: frameMax, heartbeat: heartbeat))
    case .connectionOpen: return Self.bytes(.connectionOpenOk) + opening
    case .channelOpen:
      if command.channel == AMQPPublisher.channel { tag = 0 }
      return Self.bytes(.channelOpenOk, command.channel)
    case .channelClose: return Self.bytes(.channelCloseOk, command.channel)
    case .exchangeDeclare(let declaration) where !declaration.noWait:
      return Self.bytes(.exchangeDeclareOk, command.channel)
    case .basicPublish:
      tag += 1
      published.append(String(decoding: command.body, as: UTF8.self))
      return confirms ? Self.bytes(.basicAck(tag: tag, multiple: false), command.channel) : []
    default: return []
    }
  }
}
