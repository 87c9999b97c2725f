/// The tables of the broker's database.
enum BrokerSchema {
  static let migrations = Migrations(
    """
    CREATE TABLE exchanges (
      name VARCHAR(255) PRIMARY KEY,
      kind VARCHAR(16) NOT NULL,
      is_auto_delete BOOLEAN NOT NULL,
      is_internal BOOLEAN NOT NULL,
      arguments BLOB
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
      destination VARCHAR(255) NOT NULL,
      is_to_exchange BOOLEAN NOT NULL,
      routing_key VARCHAR(255) NOT NULL,
      arguments BLOB NOT NULL,
      UNIQUE (exchange, destination, is_to_exchange, routing_key, arguments)
    );
    CREATE TABLE messages (
      message_id INTEGER PRIMARY KEY,
      queue VARCHAR(255) NOT NULL,
      exchange VARCHAR(255) NOT NULL,
      routing_key VARCHAR(255) NOT NULL,
      expires BIGINT NOT NULL,
      properties BLOB NOT NULL,
      body BLOB NOT NULL,
      priority SMALLINT NOT NULL DEFAULT 0,
      more_keys BLOB
    );
    """,
    from: [
      // Each queue knows its messages by their numbers, so a message is one row in one tree.
      "DROP INDEX messages_by_queue;",
      // Bindings lead to exchanges, too, and differ in their arguments. Four zero bytes are an
      // empty table.
      """
      ALTER TABLE exchanges ADD COLUMN arguments BLOB;
      ALTER TABLE messages ADD COLUMN priority SMALLINT NOT NULL DEFAULT 0;
      ALTER TABLE messages ADD COLUMN more_keys BLOB;
      ALTER TABLE bindings RENAME TO bindings_to_queues;
      CREATE TABLE bindings (
        binding_id INTEGER PRIMARY KEY AUTOINCREMENT,
        exchange VARCHAR(255) NOT NULL,
        destination VARCHAR(255) NOT NULL,
        is_to_exchange BOOLEAN NOT NULL,
        routing_key VARCHAR(255) NOT NULL,
        arguments BLOB NOT NULL,
        UNIQUE (exchange, destination, is_to_exchange, routing_key, arguments)
      );
      INSERT INTO bindings (binding_id, exchange, destination, is_to_exchange, routing_key, arguments)
        SELECT binding_id, exchange, queue, 0, routing_key, X'00000000' FROM bindings_to_queues;
      DROP TABLE bindings_to_queues;
      """,
    ])
}
