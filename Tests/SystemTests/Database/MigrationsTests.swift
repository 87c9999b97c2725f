@testable import Environment
@testable import Simulation
import Sim
import Testing

@testable import System

/// Databases of older releases. The first schema of each service stands here as it was released;
/// the steps from there stand with the schema of today.
@Suite struct MigrationsTests {
  private static let services: [(name: String, first: String, now: Migrations)] = [
    ("accounts", firstAccounts, AccountsSchema.migrations),
    ("chat", firstChat, ChatSchema.migrations),
    ("customers", firstCustomers, CustomerSchema.migrations),
    ("manager", firstManager, ManagerSchema.migrations),
    ("broker", firstBroker, BrokerSchema.migrations),
  ]

  /// Tables with their columns in order, indexes with theirs, and triggers.
  private static func shape(_ connection: SQLSession) async throws -> [String] {
    try await connection.query(
      """
      SELECT m.type || ' ' || m.tbl_name || ' ' || CASE WHEN m.name LIKE 'sqlite_auto%' THEN '' ELSE m.name END || ': '
        || CASE m.type
          WHEN 'table' THEN (SELECT group_concat(name || ' ' || type || ' ' || "notnull" || ' ' || pk || ' '
              || ifnull(dflt_value, '-'), ', ') || iif(t.wr, ' WITHOUT ROWID', '')
            FROM pragma_table_xinfo(m.name), (SELECT wr FROM pragma_table_list(m.name)) t)
          WHEN 'index' THEN (SELECT group_concat(name || ' ' || desc, ', ') FROM pragma_index_xinfo(m.name))
          ELSE sql END AS shape
      FROM sqlite_schema m WHERE m.name <> 'sqlite_sequence' ORDER BY shape
      """
    ) { $0.text(0) }
  }

  @Test(
    "a migrated schema equals a new one",
    arguments: ["accounts", "broker", "chat", "customers", "manager"])
  func becomesTheSame(_ name: String) throws {
    let service = try #require(Self.services.first { $0.name == name })
    try World(seed: 1).perform { environment in
      let old = Database(environment, path: "old.db", migrations: Migrations(service.first))
      try await old.transaction { _ in }
      await old.close()
      let migrated = Database(environment, path: "old.db", migrations: service.now)
      let fresh = Database(environment, path: "new.db", migrations: service.now)
      let (before, after) = try await (
        migrated.transaction { try await Self.shape($0) }, fresh.transaction { try await Self.shape($0) }
      )
      #expect(before == after)
      #expect(after.count > 3)
    }
  }

  @Test("accounts whose names fold to one keep their names, which stay taken")
  func foldedNames() throws {
    try World(seed: 1).perform { environment in
      let old = Database(environment, path: "accounts.db", migrations: Migrations(Self.firstAccounts))
      let names = ["straße", "STRASSE", "ΝΙΚΟΣ", "νικος", "ẞ", "ann"]
      try await old.transaction { connection in
        for (index, name) in names.enumerated() {
          try await connection.execute(
            """
            INSERT INTO users (user_id, user_email, username, password_hash, salt, created_at, email_key, username_key)
            VALUES ($1, $2, $3, '', '', 't', $4, $5)
            """, .text("u\(index)"), .text("\(name)@example.com"), .text(name),
            .text("\(name)@example.com".lowercased()), .text(name.lowercased()))
        }
        try await connection.run(
          """
          INSERT INTO user_sessions VALUES ('s', 'u0', 't');
          INSERT INTO session_events (kind, user_id, session_id) VALUES ('session_ended', 'x', 's'), ('user_deleted', 'x', '');
          """)
      }
      await old.close()
      let accounts = Database(environment, path: "accounts.db", migrations: AccountsSchema.migrations)
      try await accounts.transaction { connection in
        #expect(try await AccountsTables(connection).completeRows(at: Timestamp(seconds: 1_000_000)).isEmpty)
        #expect(
          try await connection.query("SELECT session_count FROM users ORDER BY user_id") { $0.int(0) } == [
            1, 0, 0, 0, 0, 0,
          ])
        func owner(_ name: String) async throws -> String? {
          try await AccountsTables(connection).users.find(AccountName(name)!)?.id.value
        }
        for (index, name) in names.enumerated() {
          #expect(try await owner(name) == "u\(index)", "\(name)")
          #expect(try await owner("\(name)@example.com") == "u\(index)", "\(name)")
        }
        #expect(try await owner("Straße") == "u0")
        #expect(try await owner("Strasse") == "u1")
        #expect(try await owner("Ann@EXAMPLE.com") == "u5")
        #expect(try await owner("SS") == "u4")
        func isFree(_ name: String) async throws -> Bool {
          do {
            try await AccountsTables(connection).users.requireFree(
              EmailAddress(parsing: "new@example.com"), Username(parsing: name))
            return true
          } catch AccountRefusal.usernameTaken {
            return false
          }
        }
        for user in ["u1", "u2"] {
          for name in ["Strasse", "StraSSe", "Νικος", "ss"] { #expect(try await !isFree(name), "\(name)") }
          try await AccountsTables(connection).deleteUser(AccountID(user))
        }
        #expect(try await owner("straße") == "u0")
        #expect(try await owner("νικος") == "u3")
        try await AccountsTables(connection).deleteUser(AccountID("u0"))
        #expect(try await isFree("strasse"))
        #expect(
          try await AccountsTables(connection).events.deletedUsers(after: 0, limit: 9).map(\.user.value) == [
            "x", "u1", "u2", "u0",
          ])
      }
    }
  }

  @Test("an operator's rows get their keys at the start, and a taken name is reported")
  func operatorsRows() throws {
    try World(seed: 1).perform { environment in
      let accounts = Database(environment, path: "accounts.db", migrations: AccountsSchema.migrations)
      try await accounts.transaction { connection in
        try await connection.run(
          """
          INSERT INTO users (user_id, user_email, username, password_hash, salt, created_at) VALUES
            ('u1', 'A@Example.com', 'ΝΙΚΟΣ', '', '', 't'), ('u2', 'b@example.com', 'νικος', '', '', 't'),
            ('u3', 'c@example.com', 'ann', '', '', 't'), ('u4', 'd@example.com', 'ANN', '', '', 't')
          """)
        for _ in 0..<2 {
          #expect(try await AccountsTables(connection).completeRows(at: Timestamp(seconds: 1)).map(\.value) == ["u4"])
        }
        func owner(_ name: String) async throws -> String? {
          try await AccountsTables(connection).users.find(AccountName(name)!)?.id.value
        }
        for (name, user) in [("νικος", "u2"), ("a@EXAMPLE.com", "u1"), ("ann", "u3")] {
          #expect(try await owner(name) == user)
        }
        #expect(try await owner("d@example.com") == "u4")
      }
    }
  }

  @Test("sessions of customers are found by the folded email, and of two that fold to one the running one is")
  func customersEmails() throws {
    try World(seed: 1).perform { environment in
      let old = Database(environment, path: "customers.db", migrations: Migrations(Self.firstCustomers))
      let emails = [
        ("straße@example.com", "PENDING", "a"), ("STRASSE@example.com", "RUNNING", "b"),
        ("ΝΙΚΟΣ@example.com", "RUNNING", "c"),
        ("ann@example.com", "RUNNING", "d"), ("not an email", "RUNNING", "e"),
      ]
      try await old.transaction { connection in
        for (email, status, token) in emails {
          try await connection.execute(
            "INSERT INTO customer_sessions VALUES ($1, $2, $3, $4, '{}', 0, 's1', 0)", .text(email.lowercased()),
            .text(email), .text(status), .text(token))
        }
      }
      await old.close()
      let customers = Database(environment, path: "customers.db", migrations: CustomerSchema.migrations)
      try await customers.transaction { connection in
        let asked = ["Straße@example.com", "strasse@example.com", "νικος@example.com", "ANN@example.com"]
        var tokens: [String?] = []
        for email in asked {
          tokens.append(
            try await CustomerTables(connection).session(of: CustomerEmail(email)!, at: Timestamp(seconds: 0))?.token
              .text)
        }
        #expect(tokens == ["b", "b", "c", "d"])
        #expect(try await connection.first("SELECT count(*) FROM customer_sessions") { $0.int(0) } == 5)
      }
    }
  }

  @Test("contacts and publications stay, and numbers continue")
  func chatKeeps() throws {
    try World(seed: 1).perform { environment in
      let old = Database(environment, path: "chat.db", migrations: Migrations(Self.firstChat))
      try await old.transaction {
        try await $0.run(
          """
          INSERT INTO contacts VALUES (1, 2, 'friend', 1, NULL);
          INSERT INTO conversations VALUES ('d1-2', 2);
          INSERT INTO messages VALUES (1, 'd1-2', 1, 1, 'hello', 'text', 't', NULL), (2, 'd1-2', 2, 2, 'ho', 'text', 't', NULL);
          INSERT INTO publications VALUES (3, 0, 'user_status', '{}', '1');
          UPDATE positions SET last_position = 3;
          """)
      }
      await old.close()
      let chat = Database(environment, path: "chat.db", migrations: ChatSchema.migrations)
      let (status, position, published, sequence) = try await chat.transaction { connection in
        let tables = ChatTables(connection)
        let pair = ConversationID.between(UserNumber(1), UserNumber(2))
        return try await (
          tables.contacts.contact(UserNumber(1), UserNumber(2))?.status, tables.publications.lastPosition().value,
          tables.publications.stored(after: Position(2), through: Position(3)).map(\.position.value),
          tables.messages.lastSequence(of: pair).value
        )
      }
      #expect(status == .friend)
      #expect(position == 3)
      #expect(published == [3])
      #expect(sequence == 2)
    }
  }
}

extension MigrationsTests {
  static let firstAccounts = """
    CREATE TABLE users (
      user_id VARCHAR(64) PRIMARY KEY,
      user_email VARCHAR(255) UNIQUE NOT NULL,
      username VARCHAR(150) UNIQUE NOT NULL,
      password_hash VARCHAR(256) NOT NULL,
      salt VARCHAR(64) NOT NULL,
      created_at TIMESTAMP NOT NULL,
      last_login TIMESTAMP,
      email_key VARCHAR(255) UNIQUE,
      username_key VARCHAR(600) UNIQUE
    );
    CREATE TRIGGER users_keys AFTER INSERT ON users WHEN NEW.email_key IS NULL OR NEW.username_key IS NULL BEGIN
      UPDATE users SET email_key = lower(NEW.user_email), username_key = lower(NEW.username) WHERE user_id = NEW.user_id;
    END;
    CREATE TABLE user_sessions (
      session_id VARCHAR(64) PRIMARY KEY,
      user_id VARCHAR(64) NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
      created_at TIMESTAMP NOT NULL
    );
    CREATE INDEX user_sessions_by_user ON user_sessions (user_id);
    CREATE TABLE used_refresh_tokens (token_id VARCHAR(64) PRIMARY KEY, expires_at BIGINT NOT NULL);
    CREATE INDEX used_refresh_tokens_by_expiry ON used_refresh_tokens (expires_at);
    CREATE TABLE revoked_logins (family VARCHAR(64) PRIMARY KEY, expires_at BIGINT NOT NULL);
    CREATE INDEX revoked_logins_by_expiry ON revoked_logins (expires_at);
    CREATE TABLE session_events (
      event_id INTEGER PRIMARY KEY AUTOINCREMENT,
      kind VARCHAR(16) NOT NULL,
      user_id VARCHAR(64) NOT NULL,
      session_id VARCHAR(64) NOT NULL
    );
    """

  private static let firstChat = """
    CREATE TABLE chat_users (
      user_number INTEGER PRIMARY KEY AUTOINCREMENT,
      account_id VARCHAR(64) UNIQUE NOT NULL,
      username VARCHAR(150) NOT NULL
    );
    CREATE INDEX chat_users_by_name ON chat_users (username);
    CREATE TABLE contacts (
      low BIGINT NOT NULL,
      high BIGINT NOT NULL,
      status VARCHAR(8) NOT NULL,
      asker BIGINT NOT NULL,
      blocker BIGINT,
      PRIMARY KEY (low, high)
    );
    CREATE INDEX contacts_by_high ON contacts (high);
    CREATE TABLE chat_groups (group_id INTEGER PRIMARY KEY AUTOINCREMENT, name VARCHAR(150) NOT NULL);
    CREATE TABLE memberships (
      group_id BIGINT NOT NULL,
      user_number BIGINT NOT NULL,
      is_admin BOOLEAN NOT NULL,
      position INTEGER PRIMARY KEY AUTOINCREMENT,
      first_seq BIGINT NOT NULL,
      last_seq BIGINT
    );
    CREATE UNIQUE INDEX memberships_now ON memberships (group_id, user_number) WHERE last_seq IS NULL;
    CREATE INDEX memberships_by_user ON memberships (user_number, group_id);
    CREATE TABLE conversations (conversation VARCHAR(48) PRIMARY KEY, last_seq BIGINT NOT NULL);
    CREATE TABLE positions (only INTEGER PRIMARY KEY CHECK (only = 1), last_position BIGINT NOT NULL);
    INSERT INTO positions (only, last_position) VALUES (1, 0);
    CREATE TABLE publications (
      position BIGINT NOT NULL,
      part BIGINT NOT NULL,
      event VARCHAR(32) NOT NULL,
      payload TEXT NOT NULL,
      rooms TEXT NOT NULL,
      PRIMARY KEY (position, part)
    );
    CREATE TABLE sockets (
      socket_id VARCHAR(128) PRIMARY KEY,
      user_number BIGINT NOT NULL,
      namespace VARCHAR(32) NOT NULL,
      life VARCHAR(64) NOT NULL
    );
    CREATE INDEX sockets_by_user ON sockets (user_number, namespace);
    CREATE TABLE departures (
      departure_id INTEGER PRIMARY KEY AUTOINCREMENT,
      user_number BIGINT NOT NULL,
      connection BIGINT NOT NULL
    );
    CREATE TABLE connections (user_number INTEGER PRIMARY KEY, last_connection BIGINT NOT NULL);
    CREATE TABLE messages (
      message_id INTEGER PRIMARY KEY,
      conversation VARCHAR(48) NOT NULL,
      seq BIGINT NOT NULL,
      sender BIGINT NOT NULL,
      content TEXT NOT NULL,
      kind VARCHAR(8) NOT NULL,
      created_at TIMESTAMP NOT NULL,
      client_id VARCHAR(128),
      UNIQUE (conversation, seq)
    );
    CREATE UNIQUE INDEX messages_by_client_id ON messages (sender, client_id) WHERE client_id IS NOT NULL;
    """

  private static let firstCustomers = """
    CREATE TABLE customer_sessions (
      email_key VARCHAR(255) PRIMARY KEY,
      email VARCHAR(255) NOT NULL,
      status VARCHAR(16) NOT NULL,
      token VARCHAR(64) NOT NULL,
      data TEXT NOT NULL,
      requested_at BIGINT NOT NULL,
      supervisor VARCHAR(64) NOT NULL,
      last_sent BIGINT NOT NULL
    );
    CREATE INDEX customer_sessions_by_supervisor ON customer_sessions (supervisor);
    CREATE TABLE session_messages (
      supervisor VARCHAR(64) NOT NULL,
      seq BIGINT NOT NULL,
      sender TEXT NOT NULL,
      message TEXT NOT NULL,
      PRIMARY KEY (supervisor, seq)
    );
    CREATE TABLE unheard (
      supervisor VARCHAR(64) NOT NULL,
      number BIGINT NOT NULL,
      message_id VARCHAR(255) NOT NULL,
      message TEXT NOT NULL,
      PRIMARY KEY (supervisor, number)
    );
    """

  private static let firstManager = """
    CREATE TABLE manager (only INTEGER PRIMARY KEY CHECK (only = 1), identity VARCHAR(64) NOT NULL, next_session BIGINT NOT NULL);
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
      is_own BOOLEAN NOT NULL
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
      position INTEGER PRIMARY KEY AUTOINCREMENT,
      supervisor VARCHAR(64) NOT NULL,
      message_id VARCHAR(255) NOT NULL,
      user_key VARCHAR(255) NOT NULL,
      message TEXT NOT NULL,
      UNIQUE (supervisor, message_id)
    );
    CREATE TABLE relayed (
      supervisor VARCHAR(64) NOT NULL,
      user_key VARCHAR(255) NOT NULL,
      last_seq BIGINT NOT NULL,
      PRIMARY KEY (supervisor, user_key)
    );
    CREATE TABLE handled (position INTEGER PRIMARY KEY AUTOINCREMENT, message_id VARCHAR(255) UNIQUE NOT NULL);
    CREATE TABLE outbox (
      position INTEGER PRIMARY KEY AUTOINCREMENT,
      kind VARCHAR(8) NOT NULL,
      exchange VARCHAR(255) NOT NULL,
      routing_key VARCHAR(255) NOT NULL,
      properties BLOB NOT NULL,
      body BLOB NOT NULL
    );
    """

  private static let firstBroker = """
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
    CREATE INDEX messages_by_queue ON messages (queue, message_id);
    """
}
