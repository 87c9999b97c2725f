import Environment

/// The schema of the accounts database: the seed's two tables with more columns, and tables of our own.
enum AccountsSchema {
  /// Triggers that count the sessions of each user in `users.session_count`. A released migration has this text, so it
  /// never changes.
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

  /// Names are unique regardless of case. SQL folds only ASCII, so each name has a column for its folded key. Rows that an
  /// operator inserts without keys get them when the service starts (`AccountsTables.completeRows`).
  static let migrations = Migrations(
    """
    CREATE TABLE users (
      user_id VARCHAR(64) PRIMARY KEY,
      user_email VARCHAR(255) UNIQUE NOT NULL,
      username VARCHAR(150) UNIQUE NOT NULL,
      password_hash VARCHAR(256) NOT NULL,
      salt VARCHAR(64) NOT NULL,
      created_at TIMESTAMP NOT NULL,
      last_login TIMESTAMP,
      email_key VARCHAR(255) UNIQUE,
      username_key VARCHAR(600) UNIQUE,
      session_count BIGINT NOT NULL DEFAULT 0
    );
    CREATE TABLE shared_names (
      name_key VARCHAR(600) NOT NULL,
      user_id VARCHAR(64) NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
      PRIMARY KEY (name_key, user_id)
    );
    CREATE INDEX shared_names_by_user ON shared_names (user_id);
    CREATE TABLE user_sessions (
      session_id VARCHAR(64) PRIMARY KEY,
      user_id VARCHAR(64) NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
      created_at TIMESTAMP NOT NULL,
      last_used BIGINT
    );
    CREATE INDEX user_sessions_by_user ON user_sessions (user_id);
    CREATE INDEX user_sessions_by_use ON user_sessions (last_used);
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
    CREATE TABLE deleted_users (event_id INTEGER PRIMARY KEY, user_id VARCHAR(64) NOT NULL);
    """ + sessionCounts,
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
      Migrations.Step { connection throws(DatabaseError) in _ = try NameKeys(connection).fold(onlyMissing: false) },
      Migrations.Step(
        """
        ALTER TABLE users ADD COLUMN session_count BIGINT NOT NULL DEFAULT 0;
        UPDATE users SET session_count = (SELECT count(*) FROM user_sessions s WHERE s.user_id = users.user_id);
        """ + sessionCounts),
    ])
}
