import Environment
import System

/// A connection to the broker that sends frames as they are given, and reads methods one by one.
final class BrokerLink {
  /// Channels that are opened with the connection, from 1 on.
  static let channels = 4
  /// Interval between heartbeats that the client asks for, in seconds.
  private static let heartbeat: UInt64 = 4

  private let connection: any Connection
  /// Bytes that are no whole frame yet.
  private var rest: [UInt8] = []
  /// A method whose content has not come, and the size of its body once it is known.
  private var pending: (frame: BrokerFrame, size: Int?)?

  private init(_ connection: any Connection) { self.connection = connection }

  /// Connects, logs in and opens the channels.
  /// - Throws: `NetworkError`, `NodeDown`, `CancellationError`.
  static func open(_ environment: Environment, deadline: Instant) async throws -> BrokerLink {
    let broker = Scenario.broker
    let link = BrokerLink(try await environment.network.connect(to: broker.address, deadline: deadline))
    let login = "\0\(broker.user)\0\(broker.password)"
    var greeting = BrokerWriter.method(
      0, "connection.start-ok", ["mechanism": .text("PLAIN"), "response": .text(login), "locale": .text("en_US")])
    greeting += BrokerWriter.method(
      0, "connection.tune-ok",
      ["channel-max": .number(2047), "frame-max": .number(131_072), "heartbeat": .number(heartbeat)])
    greeting += BrokerWriter.method(0, "connection.open", ["virtual-host": .text("/")])
    for channel in 1...channels { greeting += BrokerWriter.method(channel, "channel.open") }
    do {
      try await link.write(Array("AMQP".utf8) + [0, 0, 9, 1], deadline: deadline)
      try await link.expect("connection.start", deadline: deadline)
      try await link.write(greeting, deadline: deadline)
      while try await link.next(deadline: deadline).name != "connection.open-ok" {}
      for _ in 1...channels { try await link.expect("channel.open-ok", deadline: deadline) }
    } catch {
      link.reset()
      throw error
    }
    return link
  }

  func write(_ bytes: [UInt8], deadline: Instant) async throws {
    try await connection.write(bytes, deadline: deadline)
  }

  func beat(deadline: Instant) async throws { try await write([8, 0, 0, 0, 0, 0, 0, 0xCE], deadline: deadline) }

  /// Ends the connection without a word.
  func reset() { connection.reset() }

  /// Reads a method that has to be the next one.
  private func expect(_ name: String, deadline: Instant) async throws {
    let frame = try await next(deadline: deadline)
    guard frame.name == name else { throw NetworkError.closed }
  }

  /// The next method, with its content.
  /// - Throws: `NetworkError`, also when the broker closes the connection in order.
  func next(deadline: Instant) async throws -> BrokerFrame {
    while true {
      while let frame = frame() { return frame }
      let bytes = try await connection.read(atMost: 65_536, deadline: deadline)
      if bytes.isEmpty { throw NetworkError.closed }
      rest += bytes
    }
  }

  private func frame() -> BrokerFrame? {
    while rest.count >= 8 {
      let size = rest[3..<7].reduce(0) { $0 << 8 | Int($1) }
      guard rest.count >= size + 8 else { return nil }
      let (type, channel) = (rest[0], Int(rest[1]) << 8 | Int(rest[2]))
      let payload = Array(rest[7..<(7 + size)])
      rest.removeFirst(size + 8)
      switch type {
      case 1:
        guard let frame = BrokerFrame(channel: channel, payload) else { continue }
        if !frame.hasContent { return frame }
        pending = (frame, nil)
      case 2, 3:
        guard var (frame, size) = pending else { continue }
        if type == 2 { size = frame.readHeader(payload) } else { frame.body += payload }
        guard let size, frame.body.count >= size else {
          pending = (frame, size)
          continue
        }
        pending = nil
        return frame
      default: continue
      }
    }
    return nil
  }
}
