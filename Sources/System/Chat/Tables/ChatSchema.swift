/// The schema of the chat database. Accounts and passwords belong to the User Service; here a user has a
/// number and a name.
enum ChatSchema {
  static let migrations = Migrations(
    """
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
    ) WITHOUT ROWID;
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
    CREATE TABLE publications (
      position BIGINT NOT NULL,
      part BIGINT NOT NULL,
      event VARCHAR(32) NOT NULL,
      payload TEXT NOT NULL,
      rooms TEXT NOT NULL,
      PRIMARY KEY (position, part)
    ) WITHOUT ROWID;
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
    CREATE TABLE removed_users (user_number INTEGER PRIMARY KEY);
    CREATE TABLE followed_events (stream INTEGER PRIMARY KEY, event_id BIGINT NOT NULL);
    """,
    from: [
      // The last numbers are read from the messages and publications themselves.
      """
      DROP TABLE conversations;
      DROP TABLE positions;
      CREATE TABLE next_contacts (
        low BIGINT NOT NULL,
        high BIGINT NOT NULL,
        status VARCHAR(8) NOT NULL,
        asker BIGINT NOT NULL,
        blocker BIGINT,
        PRIMARY KEY (low, high)
      ) WITHOUT ROWID;
      INSERT INTO next_contacts SELECT low, high, status, asker, blocker FROM contacts;
      DROP TABLE contacts;
      ALTER TABLE next_contacts RENAME TO contacts;
      CREATE INDEX contacts_by_high ON contacts (high);
      CREATE TABLE next_publications (
        position BIGINT NOT NULL,
        part BIGINT NOT NULL,
        event VARCHAR(32) NOT NULL,
        payload TEXT NOT NULL,
        rooms TEXT NOT NULL,
        PRIMARY KEY (position, part)
      ) WITHOUT ROWID;
      INSERT INTO next_publications SELECT position, part, event, payload, rooms FROM publications;
      DROP TABLE publications;
      ALTER TABLE next_publications RENAME TO publications;
      """,
      // The deleted accounts, and the event of the last deletion.
      """
      CREATE TABLE removed_users (user_number INTEGER PRIMARY KEY);
      CREATE TABLE followed_events (stream INTEGER PRIMARY KEY, event_id BIGINT NOT NULL);
      """,
    ])
}
