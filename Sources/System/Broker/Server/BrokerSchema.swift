/// The tables of the broker's database.
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
      // Each queue knows its messages by their numbers, so a message is one row in one tree.
      "DROP INDEX messages_by_queue;"
    ])
}
