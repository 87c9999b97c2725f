/// The database of the User Manager: sessions, users, demand, transcripts, and the outbox.
enum ManagerSchema {
  static let migrations = Migrations(
    """
    CREATE TABLE manager (
      only INTEGER PRIMARY KEY CHECK (only = 1),
      identity VARCHAR(64) NOT NULL,
      next_session BIGINT NOT NULL,
      last_commit BIGINT NOT NULL DEFAULT 0
    );
    CREATE TABLE pool_users (
      user_key VARCHAR(255) PRIMARY KEY,
      connection BIGINT NOT NULL,
      place VARCHAR(8) NOT NULL,
      supervisor VARCHAR(64) NOT NULL,
      turn BIGINT NOT NULL
    );
    CREATE TABLE demands (demand_id INTEGER PRIMARY KEY, supervisor VARCHAR(64) NOT NULL, user_count BIGINT NOT NULL);
    CREATE TABLE sessions (
      supervisor VARCHAR(64) PRIMARY KEY,
      email VARCHAR(255) NOT NULL,
      epoch BIGINT NOT NULL,
      status VARCHAR(16) NOT NULL,
      host VARCHAR(128) NOT NULL,
      data TEXT NOT NULL,
      is_own BOOLEAN NOT NULL,
      additional BIGINT NOT NULL DEFAULT 0,
      request VARCHAR(255) NOT NULL DEFAULT ''
    );
    CREATE TABLE transcripts (
      supervisor VARCHAR(64) NOT NULL,
      seq BIGINT NOT NULL,
      message_id VARCHAR(255) NOT NULL,
      sender TEXT NOT NULL,
      message TEXT NOT NULL,
      PRIMARY KEY (supervisor, seq),
      UNIQUE (supervisor, message_id)
    );
    CREATE TABLE forwarded (
      position INTEGER PRIMARY KEY,
      supervisor VARCHAR(64) NOT NULL,
      message_id VARCHAR(255) NOT NULL,
      user_key VARCHAR(255) NOT NULL,
      message TEXT NOT NULL,
      size BIGINT NOT NULL DEFAULT 0,
      UNIQUE (supervisor, message_id)
    );
    CREATE INDEX forwarded_by_user ON forwarded (supervisor, user_key, size);
    CREATE TABLE relayed (
      supervisor VARCHAR(64) NOT NULL,
      user_key VARCHAR(255) NOT NULL,
      last_seq BIGINT NOT NULL,
      PRIMARY KEY (supervisor, user_key)
    );
    CREATE TABLE handled (position INTEGER PRIMARY KEY, message_id VARCHAR(255) NOT NULL);
    CREATE TABLE outbox (
      position INTEGER PRIMARY KEY,
      kind VARCHAR(8) NOT NULL,
      exchange VARCHAR(255) NOT NULL,
      routing_key VARCHAR(255) NOT NULL,
      properties BLOB NOT NULL,
      body BLOB NOT NULL
    );
    """,
    from: [
      "ALTER TABLE sessions ADD COLUMN additional BIGINT NOT NULL DEFAULT 0;",
      "ALTER TABLE manager ADD COLUMN last_commit BIGINT NOT NULL DEFAULT 0;",
      "ALTER TABLE sessions ADD COLUMN request VARCHAR(255) NOT NULL DEFAULT '';",
      // Drops AUTOINCREMENT and indexes: positions come from the number of the commit.
      """
      CREATE TABLE next_forwarded (
        position INTEGER PRIMARY KEY,
        supervisor VARCHAR(64) NOT NULL,
        message_id VARCHAR(255) NOT NULL,
        user_key VARCHAR(255) NOT NULL,
        message TEXT NOT NULL,
        UNIQUE (supervisor, message_id)
      );
      INSERT INTO next_forwarded SELECT position, supervisor, message_id, user_key, message FROM forwarded ORDER BY position;
      DROP TABLE forwarded;
      ALTER TABLE next_forwarded RENAME TO forwarded;
      CREATE TABLE next_handled (position INTEGER PRIMARY KEY, message_id VARCHAR(255) NOT NULL);
      INSERT INTO next_handled SELECT position, message_id FROM handled ORDER BY position;
      DROP TABLE handled;
      ALTER TABLE next_handled RENAME TO handled;
      CREATE TABLE next_outbox (
        position INTEGER PRIMARY KEY,
        kind VARCHAR(8) NOT NULL,
        exchange VARCHAR(255) NOT NULL,
        routing_key VARCHAR(255) NOT NULL,
        properties BLOB NOT NULL,
        body BLOB NOT NULL
      );
      INSERT INTO next_outbox SELECT position, kind, exchange, routing_key, properties, body FROM outbox ORDER BY position;
      DROP TABLE outbox;
      ALTER TABLE next_outbox RENAME TO outbox;
      """,
      // Sizes are summed from the index, without reading the messages.
      """
      ALTER TABLE forwarded ADD COLUMN size BIGINT NOT NULL DEFAULT 0;
      UPDATE forwarded SET size = length(message);
      CREATE INDEX forwarded_by_user ON forwarded (supervisor, user_key, size);
      """,
    ])
}
