/// The database of the User Manager: sessions, users, demand, transcripts, and the outbox.
enum ManagerSchema {
  /// A user's id as JSON, in which a byte may become six.
  private static let userKey = SQLColumn.Kind.varchar(255, server: 2048)

  static let migrations = Migrations(
    DatabaseSchema([
      SQLTable(
        "manager",
        [
          SQLColumn(#""only""#, .number, .check(#""only" = 1"#)), SQLColumn("identity", .varchar(64)),
          SQLColumn("next_session", .bigint), SQLColumn("last_commit", .bigint, .standard("0")),
        ]),
      SQLTable(
        "pool_users",
        [
          SQLColumn("user_key", userKey, .primaryKey), SQLColumn("connection", .bigint),
          SQLColumn("place", .varchar(8)),
          SQLColumn("supervisor", .varchar(64)), SQLColumn("turn", .bigint),
        ]),
      SQLTable(
        "demands",
        [SQLColumn("demand_id", .number), SQLColumn("supervisor", .varchar(64)), SQLColumn("user_count", .bigint)]),
      SQLTable(
        "sessions",
        [
          SQLColumn("supervisor", .varchar(64), .primaryKey), SQLColumn("email", .anyVarchar(255)),
          SQLColumn("epoch", .bigint), SQLColumn("status", .varchar(16)), SQLColumn("host", .anyVarchar(128)),
          SQLColumn("data", .text), SQLColumn("is_own", .boolean), SQLColumn("additional", .bigint, .standard("0")),
          SQLColumn("request", .anyVarchar(255), .standard("''")), SQLColumn("ended_at", .bigint, .standard("0")),
          SQLColumn("is_erased", .boolean, .standard("FALSE")),
          SQLColumn("email_key", .anyVarchar(1024), .standard("''")),
        ], .index(SQLIndex("sessions_ended", "ended_at", "supervisor", where: "status = 'ended'")),
        .index(SQLIndex("sessions_erased", "supervisor", where: "is_erased")),
        .index(SQLIndex("sessions_by_email", "email_key", "supervisor", where: "is_own"))),
      SQLTable(
        "transcripts",
        [
          SQLColumn("supervisor", .varchar(64)), SQLColumn("seq", .bigint), SQLColumn("message_id", .anyVarchar(255)),
          SQLColumn("sender", .text), SQLColumn("message", .text),
        ], .primaryKey(["supervisor", "seq"]), .unique(["supervisor", "message_id"])),
      SQLTable(
        "forwarded",
        [
          SQLColumn("position", .counter), SQLColumn("supervisor", .varchar(64)),
          SQLColumn("message_id", .anyVarchar(255)), SQLColumn("user_key", userKey), SQLColumn("message", .text),
          SQLColumn("size", .bigint, .standard("0")),
        ], .unique(["supervisor", "message_id"]),
        .index(SQLIndex("forwarded_by_user", "supervisor", "user_key", "size"))),
      SQLTable(
        "relayed",
        [SQLColumn("supervisor", .varchar(64)), SQLColumn("user_key", userKey), SQLColumn("last_seq", .bigint)],
        .primaryKey(["supervisor", "user_key"])),
      SQLTable("handled", [SQLColumn("position", .counter), SQLColumn("message_id", .anyVarchar(255))]),
      SQLTable(
        "outbox",
        [
          SQLColumn("position", .number), SQLColumn("kind", .varchar(8)), SQLColumn("exchange", .anyVarchar(255)),
          SQLColumn("routing_key", .anyVarchar(255)), SQLColumn("properties", .bytes), SQLColumn("body", .bytes),
        ]),
      ManagerLeaseTable.schema,
    ]),
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
      // When a session ended is not known of those that have; 0 stands for that.
      """
      ALTER TABLE sessions ADD COLUMN ended_at BIGINT NOT NULL DEFAULT 0;
      ALTER TABLE sessions ADD COLUMN is_erased BOOLEAN NOT NULL DEFAULT FALSE;
      CREATE INDEX sessions_ended ON sessions (ended_at, supervisor) WHERE status = 'ended';
      CREATE INDEX sessions_erased ON sessions (supervisor) WHERE is_erased;
      """,
      // The form in which emails are compared, so that a customer's sessions are found by an index.
      Migrations.Step { session async throws(DatabaseError) in
        try await session.run(
          """
          ALTER TABLE sessions ADD COLUMN email_key VARCHAR(1024) NOT NULL DEFAULT '';
          CREATE INDEX sessions_by_email ON sessions (email_key, supervisor) WHERE is_own;
          """)
        let emails = try await session.query("SELECT DISTINCT email FROM sessions WHERE email <> ''") { $0.text(0) }
        for email in emails {
          guard let customer = CustomerEmail(email) else { continue }
          try await session.execute(
            "UPDATE sessions SET email_key = $1 WHERE email = $2", .text(customer.key), .text(email))
        }
      },
      // Which of several nodes is active.
      Migrations.Step(making: ManagerLeaseTable.schema),
    ])
}
