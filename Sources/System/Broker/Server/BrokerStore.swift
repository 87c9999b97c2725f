/// The broker's durable state: what survives any crash.
enum BrokerSchema {
  static let migrations = Migrations(
    """
    CREATE TABLE exchanges (
      name VARCHAR(255) PRIMARY KEY,
      kind VARCHAR(16) NOT NULL,
      is_auto_delete BOOLEAN NOT NULL,
      is_internal BOOLEAN NOT NULL
    );
    CREATE TABLE queues (
      queue_id INTEGER PRIMARY KEY AUTOINCREMENT,
      name VARCHAR(255) UNIQUE NOT NULL,
      is_auto_delete BOOLEAN NOT NULL,
      arguments BLOB NOT NULL
    );
    CREATE TABLE bindings (
      binding_id INTEGER PRIMARY KEY AUTOINCREMENT,
      exchange VARCHAR(255) NOT NULL,
      queue VARCHAR(255) NOT NULL,
      routing_key VARCHAR(255) NOT NULL,
      UNIQUE (exchange, queue, routing_key)
    );
    CREATE TABLE messages (
      message_id INTEGER PRIMARY KEY,
      queue VARCHAR(255) NOT NULL,
      exchange VARCHAR(255) NOT NULL,
      routing_key VARCHAR(255) NOT NULL,
      expires BIGINT NOT NULL,
      properties BLOB NOT NULL,
      body BLOB NOT NULL
    );
    """,
    from: [
      // Each queue knows its messages by their numbers, so that a message is one row in one tree.
      "DROP INDEX messages_by_queue;"
    ])
}

/// One change of the durable state. Doing it twice is the same as doing it once, since a commit that seems to have failed may
/// have been done.
enum BrokerChange: Sendable {
  case insert(id: Int64, queue: String, expires: Int64, BrokerMessage)
  case delete(id: Int64)
  case addExchange(Exchange)
  case removeExchange(String)
  case addQueue(name: String, isAutoDelete: Bool, arguments: AMQPTable)
  /// Its messages and its bindings are deleted each by itself.
  case removeQueue(String)
  case bind(exchange: String, Binding)
  case unbind(exchange: String, Binding)
  /// Was taken back before it was written.
  case nothing

  func apply(to database: SQLConnection) throws(DatabaseError) {
    switch self {
    case .insert(let id, let queue, let expires, let message):
      try database.execute(
        """
        INSERT INTO messages (message_id, queue, exchange, routing_key, expires, properties, body)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING
        """, .int(id), .text(queue), .text(message.exchange), .text(message.routingKey), .int(expires),
        .blob(message.properties), .blob(message.body))
    case .delete(let id): try database.execute("DELETE FROM messages WHERE message_id = $1", .int(id))
    case .addExchange(let exchange):
      try database.execute(
        "INSERT INTO exchanges (name, kind, is_auto_delete, is_internal) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        .text(exchange.name), .text(exchange.kind.rawValue), .int(exchange.isAutoDelete ? 1 : 0),
        .int(exchange.isInternal ? 1 : 0))
    case .removeExchange(let name):
      try database.execute("DELETE FROM exchanges WHERE name = $1", .text(name))
      try database.execute("DELETE FROM bindings WHERE exchange = $1", .text(name))
    case .addQueue(let name, let isAutoDelete, let arguments):
      var writer = AMQPWriter()
      writer.table(arguments)
      try database.execute(
        "INSERT INTO queues (name, is_auto_delete, arguments) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", .text(name),
        .int(isAutoDelete ? 1 : 0), .blob(writer.bytes))
    case .removeQueue(let name): try database.execute("DELETE FROM queues WHERE name = $1", .text(name))
    case .bind(let exchange, let binding):
      try database.execute(
        "INSERT INTO bindings (exchange, queue, routing_key) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        .text(exchange), .text(binding.queue), .text(binding.routingKey))
    case .unbind(let exchange, let binding):
      try database.execute(
        "DELETE FROM bindings WHERE exchange = $1 AND queue = $2 AND routing_key = $3", .text(exchange),
        .text(binding.queue), .text(binding.routingKey))
    case .nothing: break
    }
  }
}

/// What a broker finds on its disk.
struct BrokerRecovery: Sendable {
  var exchanges: [Exchange] = []
  var queues: [(name: String, isAutoDelete: Bool, arguments: AMQPTable)] = []
  var bindings: [(exchange: String, binding: Binding)] = []
  /// Without their bodies, which stay on the disk until they are needed.
  var messages: [(id: Int64, queue: String, expires: Int64)] = []
  /// Rows that this version cannot use. They stay where they are.
  var setAside = 0
}

extension SQLConnection {
  /// The ids of messages stay below this, so that there is always a next one.
  private static let maximumID: Int64 = 1 << 62

  func brokerState() throws -> BrokerRecovery {
    var state = BrokerRecovery()
    func isName(_ names: String...) -> Bool {
      let isGood = names.allSatisfy { $0.utf8.count <= AMQPWriter.maximumShortString }
      if !isGood { state.setAside += 1 }
      return isGood
    }
    state.exchanges = try query("SELECT name, kind, is_auto_delete, is_internal FROM exchanges ORDER BY name") { row in
      Exchange(
        name: row.text(0), kind: ExchangeKind(rawValue: row.text(1)) ?? .direct, isDurable: true,
        isAutoDelete: row.int(2) == 1, isInternal: row.int(3) == 1)
    }.filter { isName($0.name) }
    let queues = try query("SELECT name, is_auto_delete, arguments FROM queues ORDER BY queue_id") { row in
      (row.text(0), row.int(1) == 1, row.bytes(2))
    }
    for (name, isAutoDelete, bytes) in queues where isName(name) {
      var reader = AMQPReader(bytes[...])
      // A queue whose arguments cannot be read has none: its messages are worth more than its limits.
      let arguments = try? reader.table()
      if arguments == nil { state.setAside += 1 }
      state.queues.append((name, isAutoDelete, arguments ?? AMQPTable()))
    }
    state.bindings = try query("SELECT exchange, queue, routing_key FROM bindings ORDER BY binding_id") { row in
      (row.text(0), Binding(queue: row.text(1), routingKey: row.text(2)))
    }.filter { isName($0.exchange, $0.binding.queue, $0.binding.routingKey) }
    state.messages = try query("SELECT message_id, queue, expires FROM messages ORDER BY message_id") { row in
      (row.int(0), row.text(1), row.int(2))
    }
    let count = state.messages.count
    state.messages.removeAll { $0.id >= Self.maximumID }
    state.setAside += count - state.messages.count
    return state
  }

  /// Those of some messages that are there, up to a number of bytes, but one at least. A body is nil when its row cannot be sent.
  func brokerMessages(_ ids: [Int64], bytes maximum: Int) throws(DatabaseError) -> [(
    id: Int64, message: BrokerMessage?
  )] {
    var found: [(id: Int64, message: BrokerMessage?)] = []
    var size = 0
    for id in ids where size < maximum {
      let message = try first(
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
