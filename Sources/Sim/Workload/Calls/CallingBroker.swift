import Environment
import Simulation
import System

/// The methods of a caller at the broker: any method of the table that a client sends, on queues
/// and exchanges that callers share, with any argument of the table of queue arguments.
final class CallingBroker {
  private static let channels: [UInt16] = [1, 2]
  private static let kinds = ["direct", "fanout", "topic", "headers"]
  /// The rows of the table that a client may send once it is connected. Publications are drawn more
  /// often.
  private static let rows: [AMQPMethodRow] = {
    let sent = AMQPMethodRow.all.filter {
      $0.sender != .broker && $0.isServed && !["connection.start-ok", "connection.tune-ok"].contains($0.name)
    }
    return sent + sent.filter { $0.name == publish }.flatMap { Array(repeating: $0, count: 8) }
  }()
  private static let publish = "basic.publish"

  private let caller: CallerState
  private let environment: Environment
  private var connection: (any Connection)?
  /// Bytes that do not make a whole frame yet.
  private var rest: [UInt8] = []
  /// The tags of deliveries, the newest last.
  private var tags: [UInt64] = [1]
  private var published = 0

  init(_ caller: CallerState, _ environment: Environment) {
    self.caller = caller
    self.environment = environment
  }

  private var stream: ChoiceStream { caller.user.stream }
  private var deadline: Instant { environment.clock.now + .seconds(2) }

  /// Sends one method or several, once or twice, whole or cut off after any byte.
  /// - Throws: `NodeDown`, `CancellationError`.
  func step() async throws {
    caller.user.tally.count(.calls)
    do {
      let connection = try await opened()
      var bytes = (0..<(stream.chance(0.15) ? 3 : 1)).flatMap { _ in drawn() }
      if stream.chance(0.05) { bytes += bytes }
      if stream.chance(0.02) {
        try await connection.write(Array(bytes.prefix(stream.choose(bytes.count))), deadline: deadline)
        return close(inOrder: stream.chance(0.5))
      }
      try await connection.write(bytes, deadline: deadline)
      try await listen(connection)
    } catch is NetworkError { close(inOrder: false) }
  }

  /// Ends the connection, by a reset if not in order.
  func close(inOrder: Bool) {
    if inOrder { connection?.close() } else { connection?.reset() }
    connection = nil
  }

  // MARK: The connection

  private func opened() async throws -> any Connection {
    if let connection { return connection }
    let broker = Scenario.broker
    let new = try await environment.network.connect(to: broker.address, deadline: deadline)
    (connection, rest, tags) = (new, [], [1])
    let response = [0] + Array(broker.user.utf8) + [0] + Array(broker.password.utf8)
    var tuning: [UInt8] = []
    tuning.append(big: 2047 as UInt16)
    tuning.append(big: 131_072 as UInt32)
    tuning.append(big: 0 as UInt16)
    let login =
      AttackGrammar.table([]) + AttackGrammar.short("PLAIN") + AttackGrammar.long(response)
      + AttackGrammar.short("en_US")
    let greeting =
      Array("AMQP".utf8) + [0, 0, 9, 1] + AttackGrammar.frame(1, 0, [0, 10, 0, 11] + login)
      + AttackGrammar.frame(1, 0, [0, 10, 0, 31] + tuning)
      + AttackGrammar.frame(1, 0, [0, 10, 0, 40] + AttackGrammar.short("/") + [0, 0])
      + Self.channels.flatMap { AttackGrammar.frame(1, $0, [0, 20, 0, 10, 0]) }
    try await new.write(greeting, deadline: deadline)
    try await listen(new)
    return new
  }

  /// Reads what comes within a short time.
  private func listen(_ connection: any Connection) async throws {
    let until = environment.clock.now + .milliseconds(5)
    while true {
      do {
        let bytes = try await connection.read(atMost: 65_536, deadline: until)
        if bytes.isEmpty { throw NetworkError.closed }
        rest += bytes
      } catch NetworkError.timedOut { break }
    }
    while rest.count >= 8 {
      let size = rest[3..<7].reduce(0) { $0 << 8 | Int($1) }
      guard rest.count >= size + 8 else { return }
      let (channel, payload) = (UInt16(rest[1]) << 8 | UInt16(rest[2]), Array(rest[7..<(7 + size)]))
      let isMethod = rest[0] == 1
      rest.removeFirst(size + 8)
      if isMethod { try await heard(payload, on: channel, connection) }
    }
  }

  private func heard(_ payload: [UInt8], on channel: UInt16, _ connection: any Connection) async throws {
    guard payload.count >= 4 else { return }
    let (classID, id) = (UInt16(payload[0]) << 8 | UInt16(payload[1]), UInt16(payload[2]) << 8 | UInt16(payload[3]))
    switch AMQPMethodRow.row(classID, id)?.name {
    case "channel.close"?:
      try await connection.write(
        AttackGrammar.frame(1, channel, [0, 20, 0, 41]) + AttackGrammar.frame(1, channel, [0, 20, 0, 10, 0]),
        deadline: deadline)
    case "channel.close-ok"?:
      try await connection.write(AttackGrammar.frame(1, channel, [0, 20, 0, 10, 0]), deadline: deadline)
    case "connection.close"?, "connection.close-ok"?: throw NetworkError.closed
    case "basic.deliver"?: note(tag: payload.dropFirst(5 + Int(payload[4])))
    case "basic.get-ok"?: note(tag: payload.dropFirst(4))
    default: break
    }
  }

  private func note(tag bytes: ArraySlice<UInt8>) {
    tags.append(bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) })
    if tags.count > 8 { tags.removeFirst() }
  }

  // MARK: Methods

  private func drawn() -> [UInt8] {
    let row = stream.pick(Self.rows)
    let channel = row.classID == 10 ? 0 : stream.pick(Self.channels)
    caller.history.methods.insert(row.name)
    caller.user.lastSeen = "sends \(row.name)"
    var payload: [UInt8] = []
    payload.append(big: row.classID)
    payload.append(big: row.id)
    var bits: [Bool] = []
    for field in row.fields {
      if field.type == .bit {
        bits.append(stream.chance(Self.chance(field.name)))
        continue
      }
      Self.append(&bits, to: &payload)
      payload += value(field.name, field.type, of: row)
    }
    Self.append(&bits, to: &payload)
    let frame = AttackGrammar.frame(1, channel, payload)
    return row.name == Self.publish ? frame + content(channel) : frame
  }

  /// Packs neighbouring bits into one octet.
  private static func append(_ bits: inout [Bool], to payload: inout [UInt8]) {
    guard !bits.isEmpty else { return }
    payload.append(bits.enumerated().reduce(0) { $0 | ($1.element ? 1 << UInt8($1.offset) : 0) })
    bits = []
  }

  private static func chance(_ bit: String) -> Double {
    switch bit {
    case "durable", "active": 0.8
    case "passive", "exclusive", "immediate", "if-unused", "if-empty": 0.05
    default: 0.2
    }
  }

  private var queue: String { "CALLED-q\(stream.choose(4))" }
  private var exchange: String { stream.chance(0.2) ? "" : "CALLED-x\(stream.choose(3))" }

  private func value(_ name: String, _ type: AMQPMethodRow.Field, of row: AMQPMethodRow) -> [UInt8] {
    var output: [UInt8] = []
    switch type {
    case .bit: break
    case .short: output.append(big: name == "prefetch-count" ? stream.pick([0, 1, 3] as [UInt16]) : 0)
    case .long: output.append(big: 0 as UInt32)
    case .longLong: output.append(big: stream.chance(0.05) ? UInt64(stream.choose(100)) : stream.pick(tags))
    case .longString: return AttackGrammar.long(Array(Scenario.broker.password.utf8))
    case .table: return arguments(of: row)
    case .shortString:
      let text =
        switch name {
        case "queue": queue
        case "exchange", "source", "destination": exchange
        case "routing-key": stream.chance(0.7) ? queue : stream.pick(["a.b", "a.*", "#", ""])
        case "type": stream.pick(Self.kinds)
        case "consumer-tag": "c\(stream.choose(3))"
        case "virtual-host": "/"
        default: ""
        }
      return AttackGrammar.short(text)
    }
    return output
  }

  private func arguments(of row: AMQPMethodRow) -> [UInt8] {
    guard row.name == "queue.declare", stream.chance(0.5) else { return AttackGrammar.table([]) }
    let chosen = (0...stream.choose(2)).map { _ in stream.pick(QueueArgument.all) }
    return AttackGrammar.table(
      chosen.map { argument in
        let value: [UInt8] =
          switch argument.kind {
          case .name: AttackGrammar.value(stream.chance(0.5) ? exchange : queue)
          case .choice(let choices): AttackGrammar.value(stream.pick(choices))
          case .number(let range):
            AttackGrammar.value(min(range.upperBound, range.lowerBound + Int64(stream.pick([0, 1, 3, 50, 2000]))))
          case .boolean: [UInt8(ascii: "t"), stream.chance(0.5) ? 1 : 0]
          case .any: AttackGrammar.value(1)
          }
        return (argument.name, value)
      })
  }

  /// The header and the body of a publication: persistent or not, with a time to live or not.
  private func content(_ channel: UInt16) -> [UInt8] {
    published += 1
    let body = Array("\(caller.user.name) \(published)".utf8)
    var header: [UInt8] = [0, 60, 0, 0]
    header.append(big: Int64(body.count))
    let expires = stream.chance(0.2)
    header.append(big: 1 << 12 | (expires ? 1 << 8 : 0) as UInt16)
    header.append(stream.chance(0.7) ? 2 : 1)
    if expires { header += AttackGrammar.short(stream.pick(["0", "20", "1000"])) }
    return AttackGrammar.frame(2, channel, header) + AttackGrammar.frame(3, channel, body)
  }
}
