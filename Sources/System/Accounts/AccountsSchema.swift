import Environment

/// The schema of the accounts database: the seed's two tables with more columns, and tables of our
/// own.
enum AccountsSchema {
  /// Triggers that count the sessions of each user in `users.session_count`. A released migration
  /// has this text, so it never changes.
  private static let sessionCounts = """

    CREATE TRIGGER user_sessions_insert AFTER INSERT ON user_sessions BEGIN
      UPDATE users SET session_count = session_count + 1 WHERE user_id = NEW.user_id;
    END;
    CREATE TRIGGER user_sessions_delete AFTER DELETE ON user_sessions BEGIN
      UPDATE users SET session_count = session_count - 1 WHERE user_id = OLD.user_id;
    END;
    CREATE TRIGGER user_sessions_update AFTER UPDATE OF user_id ON user_sessions BEGIN
      UPDATE users SET session_count = session_count - 1 WHERE user_id = OLD.user_id;
      UPDATE users SET session_count = session_count + 1 WHERE user_id = NEW.user_id;
    END;
    """

  /// What nodes with one database count together. With a file it is in memory.
  private static let loginFailures = SQLTable(
    "login_failures",
    [
      SQLColumn("account", .varchar(65), .primaryKey), SQLColumn("times", .varchar(400)),
      SQLColumn("last_failed", .bigint),
    ], .index(SQLIndex("login_failures_by_time", "last_failed")))

  /// The same triggers for PostgreSQL.
  private static let sessionCountsOnServer = """
    CREATE FUNCTION count_user_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF TG_OP <> 'INSERT' THEN
        UPDATE users SET session_count = session_count - 1 WHERE user_id = OLD.user_id;
      END IF;
      IF TG_OP <> 'DELETE' THEN
        UPDATE users SET session_count = session_count + 1 WHERE user_id = NEW.user_id;
      END IF;
      RETURN NULL;
    END $$;
    CREATE TRIGGER user_sessions_count AFTER INSERT OR DELETE OR UPDATE OF user_id ON user_sessions
      FOR EACH ROW EXECUTE FUNCTION count_user_sessions();
    """

  /// Names are unique regardless of case. SQL folds only ASCII, so each name has a column for its
  /// folded key. Rows that an operator inserts without keys get them when the service starts
  /// (`AccountsTables.completeRows`).
  static let migrations = Migrations(
    DatabaseSchema(
      [
        SQLTable(
          "users",
          [
            SQLColumn("user_id", .varchar(64), .primaryKey), SQLColumn("user_email", .varchar(255), .unique),
            SQLColumn("username", .varchar(150), .unique), SQLColumn("password_hash", .varchar(256)),
            SQLColumn("salt", .varchar(64)), SQLColumn("created_at", .timestamp),
            SQLColumn("last_login", .timestamp, .optional),
            SQLColumn("email_key", .varchar(255, server: 765), .unique, .optional),
            SQLColumn("username_key", .varchar(600), .unique, .optional),
            SQLColumn("session_count", .bigint, .standard("0")),
            SQLColumn("login_generation", .bigint, .standard("0")), SQLColumn("disabled_at", .timestamp, .optional),
          ], .numbersRows),
        SQLTable(
          "shared_names",
          [
            SQLColumn("name_key", .varchar(600, server: 765)),
            SQLColumn("user_id", .varchar(64), .references("users", "user_id")),
          ], .primaryKey(["name_key", "user_id"]), .index(SQLIndex("shared_names_by_user", "user_id"))),
        SQLTable(
          "user_sessions",
          [
            SQLColumn("session_id", .varchar(64), .primaryKey),
            SQLColumn("user_id", .varchar(64), .references("users", "user_id")),
            SQLColumn("created_at", .timestamp), SQLColumn("last_used", .bigint, .optional),
          ], .numbersRows, .index(SQLIndex("user_sessions_by_user", "user_id")),
          .index(SQLIndex("user_sessions_by_use", "last_used"))),
        SQLTable(
          "used_refresh_tokens",
          [SQLColumn("token_id", .varchar(64, server: 287), .primaryKey), SQLColumn("expires_at", .bigint)],
          .index(SQLIndex("used_refresh_tokens_by_expiry", "expires_at"))),
        SQLTable(
          "revoked_logins",
          [SQLColumn("family", .varchar(64, server: 255), .primaryKey), SQLColumn("expires_at", .bigint)],
          .index(SQLIndex("revoked_logins_by_expiry", "expires_at"))),
        SQLTable(
          "session_events",
          [
            SQLColumn("event_id", .identity), SQLColumn("kind", .varchar(16)), SQLColumn("user_id", .varchar(64)),
            SQLColumn("session_id", .varchar(64)),
          ]),
        SQLTable("deleted_users", [SQLColumn("event_id", .number), SQLColumn("user_id", .varchar(64))]),
      ],
      then: [.sqlite: sessionCounts, .postgreSQL: loginFailures.script(for: .postgreSQL) + sessionCountsOnServer]),
    from: [
      """
      CREATE TABLE deleted_users (event_id INTEGER PRIMARY KEY, user_id VARCHAR(64) NOT NULL);
      INSERT INTO deleted_users SELECT event_id, user_id FROM session_events WHERE kind = 'user_deleted'
      """,
      """
      ALTER TABLE user_sessions ADD COLUMN last_used BIGINT;
      CREATE INDEX user_sessions_by_use ON user_sessions (last_used)
      """,
      """
      DROP TRIGGER users_keys;
      CREATE TABLE shared_names (
        name_key VARCHAR(600) NOT NULL,
        user_id VARCHAR(64) NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
        PRIMARY KEY (name_key, user_id)
      );
      CREATE INDEX shared_names_by_user ON shared_names (user_id)
      """,
      Migrations.Step { session async throws(DatabaseError) in
        _ = try await NameKeys(session).fold(onlyMissing: false)
      },
      Migrations.Step(
        """
        ALTER TABLE users ADD COLUMN session_count BIGINT NOT NULL DEFAULT 0;
        UPDATE users SET session_count = (SELECT count(*) FROM user_sessions s WHERE s.user_id = users.user_id);
        """ + sessionCounts),
      """
      ALTER TABLE users ADD COLUMN login_generation BIGINT NOT NULL DEFAULT 0;
      ALTER TABLE users ADD COLUMN disabled_at TIMESTAMP
      """,
    ])
}
