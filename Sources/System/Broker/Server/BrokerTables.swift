/// A change of the durable state. Applying it twice has the effect of applying it once, since a
/// commit that seems to have failed may have succeeded.
enum BrokerChange: Sendable {
  case insert(id: Int64, queue: String, expires: Int64, BrokerMessage)
  case delete(id: Int64)
  case addExchange(ExchangeProperties)
  /// Removes the exchange, and the bindings from it and to it.
  case removeExchange(String)
  case addQueue(name: String, isAutoDelete: Bool, arguments: AMQPTable)
  /// Removes the queue alone. Its messages and bindings have changes of their own.
  case removeQueue(String)
  case bind(exchange: String, Binding)
  case unbind(exchange: String, Binding)
  /// A change that was withdrawn before its commit.
  case nothing
}

/// The durable state that a broker starts with.
struct BrokerRecovery: Sendable {
  var exchanges: [ExchangeProperties] = []
  var queues: [(name: String, isAutoDelete: Bool, arguments: AMQPTable)] = []
  var bindings: [(exchange: String, binding: Binding)] = []
  /// Without their bodies, which stay on the disk until they are needed.
  var messages: [RecoveredMessage] = []
  /// Rows that this version cannot use. They stay in the database.
  var setAside = 0
}

/// What a broker knows of a message while its body is on the disk.
struct RecoveredMessage: Sendable {
  let id: Int64
  let queue: String
  let expires: Int64
  let priority: UInt8
  let bodyBytes: UInt32
}

/// The broker's tables, over one connection to its database.
struct BrokerTables {
  /// Message ids stay below this, so that there is always a next one.
  private static let maximumID: Int64 = 1 << 62

  private let connection: SQLSession

  init(_ connection: SQLSession) { self.connection = connection }

  /// Applies a change.
  func apply(_ change: BrokerChange) async throws(DatabaseError) {
    switch change {
    case .insert(let id, let queue, let expires, let message):
      try await connection.execute(
        """
        INSERT INTO messages
          (message_id, queue, exchange, routing_key, expires, properties, body, priority, more_keys)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING
        """, .int(id), .text(queue), .text(message.exchange), .text(message.routingKey), .int(expires),
        .blob(message.properties), .blob(message.body), .int(Int64(message.priority)),
        message.moreKeys.isEmpty ? .null : .blob(Self.encode(message.moreKeys)))
    case .delete(let id): try await connection.execute("DELETE FROM messages WHERE message_id = $1", .int(id))
    case .addExchange(let exchange):
      try await connection.execute(
        """
        INSERT INTO exchanges (name, kind, is_auto_delete, is_internal, arguments) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT DO NOTHING
        """, .text(exchange.name), .text(exchange.kind.rawValue), .int(exchange.isAutoDelete ? 1 : 0),
        .int(exchange.isInternal ? 1 : 0),
        exchange.alternate.map { .blob(Self.encode([Self.alternate: .text($0)])) } ?? .null)
    case .removeExchange(let name):
      try await connection.execute("DELETE FROM exchanges WHERE name = $1", .text(name))
      try await connection.execute("DELETE FROM bindings WHERE exchange = $1", .text(name))
      try await connection.execute("DELETE FROM bindings WHERE destination = $1 AND is_to_exchange = 1", .text(name))
    case .addQueue(let name, let isAutoDelete, let arguments):
      try await connection.execute(
        "INSERT INTO queues (name, is_auto_delete, arguments) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", .text(name),
        .int(isAutoDelete ? 1 : 0), .blob(Self.encode(arguments)))
    case .removeQueue(let name): try await connection.execute("DELETE FROM queues WHERE name = $1", .text(name))
    case .bind(let exchange, let binding):
      try await connection.execute(
        """
        INSERT INTO bindings (exchange, destination, is_to_exchange, routing_key, arguments)
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING
        """, .text(exchange), .text(binding.destination.name), .int(binding.destination.isExchange ? 1 : 0),
        .text(binding.routingKey), .blob(Self.encode(binding.arguments)))
    case .unbind(let exchange, let binding):
      try await connection.execute(
        """
        DELETE FROM bindings
        WHERE exchange = $1 AND destination = $2 AND is_to_exchange = $3 AND routing_key = $4 AND arguments = $5
        """, .text(exchange), .text(binding.destination.name), .int(binding.destination.isExchange ? 1 : 0),
        .text(binding.routingKey), .blob(Self.encode(binding.arguments)))
    case .nothing: break
    }
  }

  // MARK: Encodings

  private static let alternate = "alternate-exchange"

  /// A name in a table; nil when it is none.
  private static func name(_ value: AMQPValue?) -> String? {
    value?.text.flatMap { $0.utf8.count <= AMQPWriter.maximumShortString ? $0 : nil }
  }

  private static func encode(_ table: AMQPTable) -> [UInt8] {
    var writer = AMQPWriter()
    writer.table(table)
    return writer.bytes
  }

  private static func table(_ bytes: [UInt8]) -> AMQPTable? {
    var reader = AMQPReader(bytes[...])
    return try? reader.table()
  }

  /// Routing keys as short strings.
  private static func encode(_ keys: [String]) -> [UInt8] {
    var writer = AMQPWriter()
    for key in keys { writer.shortString(key) }
    return writer.bytes
  }

  /// The routing keys before the first malformed one.
  private static func routingKeys(_ bytes: [UInt8]) -> [String] {
    var reader = AMQPReader(bytes[...])
    var keys: [String] = []
    while !reader.isAtEnd, let key = try? reader.shortString() { keys.append(key) }
    return keys
  }

  // MARK: Recovery

  /// Reads the durable state. Rows with names or ids out of bounds are counted and left out.
  func recover() async throws -> BrokerRecovery {
    var state = BrokerRecovery()
    func isName(_ names: String...) -> Bool {
      let isGood = names.allSatisfy { $0.utf8.count <= AMQPWriter.maximumShortString }
      if !isGood { state.setAside += 1 }
      return isGood
    }
    let exchanges = try await connection.query(
      "SELECT name, kind, is_auto_delete, is_internal, arguments FROM exchanges ORDER BY name"
    ) { row in
      ExchangeProperties(
        name: row.text(0), kind: ExchangeKind(rawValue: row.text(1)) ?? .direct, isDurable: true,
        isAutoDelete: row.int(2) == 1, isInternal: row.int(3) == 1,
        alternate: row.isNull(4) ? nil : Self.name(Self.table(row.bytes(4))?[Self.alternate]))
    }
    state.exchanges = exchanges.filter { isName($0.name) }
    let queues = try await connection.query("SELECT name, is_auto_delete, arguments FROM queues ORDER BY queue_id") {
      row in
      (row.text(0), row.int(1) == 1, row.bytes(2))
    }
    for (name, isAutoDelete, bytes) in queues where isName(name) {
      // A queue with malformed arguments loses its limits, and keeps its messages.
      let arguments = Self.table(bytes)
      if arguments == nil { state.setAside += 1 }
      state.queues.append((name, isAutoDelete, arguments ?? AMQPTable()))
    }
    let bindings = try await connection.query(
      "SELECT exchange, destination, is_to_exchange, routing_key, arguments FROM bindings ORDER BY binding_id"
    ) { row in
      (row.text(0), row.text(1), row.int(2) == 1, row.text(3), row.bytes(4))
    }
    for (exchange, name, isToExchange, key, bytes) in bindings where isName(exchange, name, key) {
      // Without its arguments, a binding would match other messages.
      guard let arguments = Self.table(bytes) else {
        state.setAside += 1
        continue
      }
      state.bindings.append(
        (exchange, Binding(isToExchange ? .exchange(name) : .queue(name), routingKey: key, arguments: arguments)))
    }
    state.messages = try await connection.query(
      "SELECT message_id, queue, expires, priority, length(body) FROM messages ORDER BY message_id"
    ) { row in
      RecoveredMessage(
        id: row.int(0), queue: row.text(1), expires: row.int(2), priority: UInt8(clamping: row.int(3)),
        bodyBytes: UInt32(clamping: row.int(4)))
    }
    let count = state.messages.count
    state.messages.removeAll { $0.id >= Self.maximumID }
    state.setAside += count - state.messages.count
    return state
  }

  /// Reads messages in order until they have `maximum` bytes, but at least one. A message is nil
  /// when its row is missing or cannot be sent.
  func messages(_ ids: [Int64], bytes maximum: Int) async throws(DatabaseError) -> [(
    id: Int64, message: BrokerMessage?
  )] {
    var found: [(id: Int64, message: BrokerMessage?)] = []
    var size = 0
    for id in ids where size < maximum {
      let message = try await connection.first(
        "SELECT exchange, routing_key, properties, body, priority, more_keys FROM messages WHERE message_id = $1",
        .int(id)
      ) { row in
        BrokerMessage(
          exchange: row.text(0), routingKey: row.text(1), moreKeys: row.isNull(5) ? [] : Self.routingKeys(row.bytes(5)),
          properties: row.bytes(2), body: row.bytes(3), isPersistent: true, priority: UInt8(clamping: row.int(4)))
      }
      let isSendable = message.map {
        max($0.exchange.utf8.count, $0.routingKey.utf8.count) <= AMQPWriter.maximumShortString
      }
      size += message?.size ?? 0
      found.append((id, isSendable == true ? message : nil))
    }
    return found
  }
}
