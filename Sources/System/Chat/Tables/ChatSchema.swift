/// The schema of the chat database. Accounts and passwords belong to the User Service; here a user
/// has a number and a name.
enum ChatSchema {
  static let migrations = Migrations(
    DatabaseSchema([
      SQLTable(
        "chat_users",
        [
          SQLColumn("user_number", .identity), SQLColumn("account_id", .varchar(64), .unique),
          SQLColumn("username", .varchar(150)),
        ], .index(SQLIndex("chat_users_by_name", "username"))),
      SQLTable(
        "contacts",
        [
          SQLColumn("low", .bigint), SQLColumn("high", .bigint), SQLColumn("status", .varchar(8)),
          SQLColumn("asker", .bigint), SQLColumn("blocker", .bigint, .optional),
        ], .primaryKey(["low", "high"]), .inKeyOrder, .index(SQLIndex("contacts_by_high", "high"))),
      SQLTable("chat_groups", [SQLColumn("group_id", .identity), SQLColumn("name", .anyVarchar(150))]),
      SQLTable(
        "memberships",
        [
          SQLColumn("group_id", .bigint), SQLColumn("user_number", .bigint), SQLColumn("is_admin", .boolean),
          SQLColumn("position", .identity), SQLColumn("first_seq", .bigint), SQLColumn("last_seq", .bigint, .optional),
        ],
        .index(SQLIndex("memberships_now", "group_id", "user_number", unique: true, where: "last_seq IS NULL")),
        .index(SQLIndex("memberships_by_user", "user_number", "group_id"))),
      SQLTable(
        "publications",
        [
          SQLColumn("position", .bigint), SQLColumn("part", .bigint), SQLColumn("event", .varchar(32)),
          SQLColumn("payload", .text), SQLColumn("rooms", .text),
        ], .primaryKey(["position", "part"]), .inKeyOrder),
      SQLTable(
        "sockets",
        [
          SQLColumn("socket_id", .varchar(128), .primaryKey), SQLColumn("user_number", .bigint),
          SQLColumn("namespace", .varchar(32)), SQLColumn("life", .varchar(64)),
        ], .index(SQLIndex("sockets_by_user", "user_number", "namespace"))),
      recoveries,
      SQLTable(
        "departures",
        [
          SQLColumn("departure_id", .identity), SQLColumn("user_number", .bigint), SQLColumn("connection", .bigint),
        ]),
      SQLTable("connections", [SQLColumn("user_number", .number), SQLColumn("last_connection", .bigint)]),
      SQLTable(
        "messages",
        [
          SQLColumn("message_id", .number), SQLColumn("conversation", .varchar(48)), SQLColumn("seq", .bigint),
          SQLColumn("sender", .bigint), SQLColumn("content", .anyText), SQLColumn("kind", .varchar(8)),
          SQLColumn("created_at", .timestamp), SQLColumn("client_id", .anyVarchar(128), .optional),
        ], .unique(["conversation", "seq"]),
        .index(
          SQLIndex("messages_by_client_id", "sender", "client_id", unique: true, where: "client_id IS NOT NULL"))),
      removedMessages,
      messageCounts,
      nodes,
      passedMessages,
      SQLTable("removed_users", [SQLColumn("user_number", .number)]),
      SQLTable("followed_events", [SQLColumn("stream", .number), SQLColumn("event_id", .bigint)]),
    ]),
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
      // How far the messages of conversations were removed, and the nodes that share the tables.
      Migrations.Step(making: removedMessages, nodes),
      // How many messages there are, for retention by number.
      Migrations.Step(making: messageCounts),
      // The messages for users of the User Server that one of several nodes has passed on.
      Migrations.Step(making: passedMessages),
      // The clients that want to be recovered.
      Migrations.Step(making: recoveries),
    ])

  // MARK: Tables that were added to older databases

  private static let removedMessages = SQLTable(
    "removed_messages",
    [
      SQLColumn("conversation", .varchar(48), .primaryKey), SQLColumn("last_seq", .bigint),
      SQLColumn("last_message", .bigint),
    ], .index(SQLIndex("removed_messages_by_id", "last_message")))

  private static let nodes = SQLTable(
    "chat_nodes",
    [
      SQLColumn("life", .varchar(64), .primaryKey), SQLColumn("name", .varchar(128)), SQLColumn("beat", .bigint),
    ])

  private static let messageCounts = SQLTable(
    "message_counts",
    [
      SQLColumn(#""only""#, .number, .check(#""only" = 1"#)), SQLColumn("messages", .bigint),
      SQLColumn("counted_through", .bigint),
    ])

  private static let passedMessages = SQLTable(
    "passed_messages",
    [SQLColumn("message_id", .varchar(255), .primaryKey), SQLColumn("position", .bigint)],
    .index(SQLIndex("passed_messages_by_position", "position")))

  private static let recoveries = SQLTable(
    "recoveries",
    [
      SQLColumn("pid", .varchar(64), .primaryKey), SQLColumn("user_number", .bigint),
      SQLColumn("sid", .varchar(64)), SQLColumn("socket_id", .varchar(128)), SQLColumn("since_position", .bigint),
      SQLColumn("closed_at", .bigint, .optional),
    ], .index(SQLIndex("recoveries_by_user", "user_number")),
    .index(SQLIndex("recoveries_by_socket", "socket_id")), .index(SQLIndex("recoveries_by_end", "closed_at")))
}
