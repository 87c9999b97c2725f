/// A change of the durable state. Applying it twice has the effect of applying it once, since a commit
/// that seems to have failed may have succeeded.
enum BrokerChange: Sendable {
  case insert(id: Int64, queue: String, expires: Int64, BrokerMessage)
  case delete(id: Int64)
  case addExchange(Exchange)
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
  var exchanges: [Exchange] = []
  var queues: [(name: String, isAutoDelete: Bool, arguments: AMQPTable)] = []
  var bindings: [(exchange: String, binding: Binding)] = []
  /// Without their bodies, which stay on the disk until they are needed.
  var messages: [(id: Int64, queue: String, expires: Int64)] = []
  /// Rows that this version cannot use. They stay in the database.
  var setAside = 0
}

/// The broker's tables, over one connection to its database.
struct BrokerTables {
  /// Message ids stay below this, so that there is always a next one.
  private static let maximumID: Int64 = 1 << 62

  private let connection: SQLConnection

  init(_ connection: SQLConnection) { self.connection = connection }

  /// Applies a change.
  func apply(_ change: BrokerChange) throws(DatabaseError) {
    switch change {
    case .insert(let id, let queue, let expires, let message):
      try connection.execute(
        """
        INSERT INTO messages (message_id, queue, exchange, routing_key, expires, properties, body)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING
        """, .int(id), .text(queue), .text(message.exchange), .text(message.routingKey), .int(expires),
        .blob(message.properties), .blob(message.body))
    case .delete(let id): try connection.execute("DELETE FROM messages WHERE message_id = $1", .int(id))
    case .addExchange(let exchange):
      try connection.execute(
        "INSERT INTO exchanges (name, kind, is_auto_delete, is_internal) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        .text(exchange.name), .text(exchange.kind.rawValue), .int(exchange.isAutoDelete ? 1 : 0),
        .int(exchange.isInternal ? 1 : 0))
    case .removeExchange(let name):
      try connection.execute("DELETE FROM exchanges WHERE name = $1", .text(name))
      try connection.execute("DELETE FROM bindings WHERE exchange = $1", .text(name))
    case .addQueue(let name, let isAutoDelete, let arguments):
      var writer = AMQPWriter()
      writer.table(arguments)
      try connection.execute(
        "INSERT INTO queues (name, is_auto_delete, arguments) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", .text(name),
        .int(isAutoDelete ? 1 : 0), .blob(writer.bytes))
    case .removeQueue(let name): try connection.execute("DELETE FROM queues WHERE name = $1", .text(name))
    case .bind(let exchange, let binding):
      try connection.execute(
        "INSERT INTO bindings (exchange, queue, routing_key) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        .text(exchange), .text(binding.queue), .text(binding.routingKey))
    case .unbind(let exchange, let binding):
      try connection.execute(
        "DELETE FROM bindings WHERE exchange = $1 AND queue = $2 AND routing_key = $3", .text(exchange),
        .text(binding.queue), .text(binding.routingKey))
    case .nothing: break
    }
  }

  /// Reads the durable state. Rows with names or ids out of bounds are counted and left out.
  func recover() throws -> BrokerRecovery {
    var state = BrokerRecovery()
    func isName(_ names: String...) -> Bool {
      let isGood = names.allSatisfy { $0.utf8.count <= AMQPWriter.maximumShortString }
      if !isGood { state.setAside += 1 }
      return isGood
    }
    state.exchanges = try connection.query(
      "SELECT name, kind, is_auto_delete, is_internal FROM exchanges ORDER BY name"
    ) { row in
      Exchange(
        name: row.text(0), kind: ExchangeKind(rawValue: row.text(1)) ?? .direct, isDurable: true,
        isAutoDelete: row.int(2) == 1, isInternal: row.int(3) == 1)
    }.filter { isName($0.name) }
    let queues = try connection.query("SELECT name, is_auto_delete, arguments FROM queues ORDER BY queue_id") { row in
      (row.text(0), row.int(1) == 1, row.bytes(2))
    }
    for (name, isAutoDelete, bytes) in queues where isName(name) {
      var reader = AMQPReader(bytes[...])
      // A queue with malformed arguments loses its limits, and keeps its messages.
      let arguments = try? reader.table()
      if arguments == nil { state.setAside += 1 }
      state.queues.append((name, isAutoDelete, arguments ?? AMQPTable()))
    }
    state.bindings = try connection.query(
      "SELECT exchange, queue, routing_key FROM bindings ORDER BY binding_id"
    ) { row in
      (row.text(0), Binding(queue: row.text(1), routingKey: row.text(2)))
    }.filter { isName($0.exchange, $0.binding.queue, $0.binding.routingKey) }
    state.messages = try connection.query(
      "SELECT message_id, queue, expires FROM messages ORDER BY message_id"
    ) { row in
      (row.int(0), row.text(1), row.int(2))
    }
    let count = state.messages.count
    state.messages.removeAll { $0.id >= Self.maximumID }
    state.setAside += count - state.messages.count
    return state
  }

  /// Reads messages in order until they have `maximum` bytes, but at least one. A message is nil when
  /// its row is missing or cannot be sent.
  func messages(_ ids: [Int64], bytes maximum: Int) throws(DatabaseError) -> [(id: Int64, message: BrokerMessage?)] {
    var found: [(id: Int64, message: BrokerMessage?)] = []
    var size = 0
    for id in ids where size < maximum {
      let message = try connection.first(
        "SELECT exchange, routing_key, properties, body FROM messages WHERE message_id = $1", .int(id)
      ) { row in
        BrokerMessage(
          exchange: row.text(0), routingKey: row.text(1), properties: row.bytes(2), body: row.bytes(3),
          isPersistent: true)
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
