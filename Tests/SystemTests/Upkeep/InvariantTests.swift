import Environment
import Testing

@testable import System

/// Rows that keep all promises, and for each promise a statement that breaks it.
@Suite("Invariants of the databases")
struct InvariantTests {
  struct Example: Sendable, CustomStringConvertible {
    let database: String
    let promise: String
    let sql: String
    var description: String { "\(database): \(promise)" }
  }

  private static let rows: [String: String] = [
    "accounts.db": """
    INSERT INTO users (user_id, user_email, username, password_hash, salt, created_at)
      VALUES ('u1', 'a@b.c', 'ann', 'h', 's', 't'), ('u2', 'b@b.c', 'bob', 'h', 's', 't');
    INSERT INTO user_sessions (session_id, user_id, created_at) VALUES ('s1', 'u1', 't'), ('s2', 'u1', 't');
    INSERT INTO session_events (kind, user_id, session_id) VALUES ('user_deleted', 'u3', '');
    INSERT INTO deleted_users VALUES (1, 'u3');
    """,
    "chat.db": """
    INSERT INTO chat_users VALUES (1, 'u1', 'ann'), (2, 'u2', 'bob'), (3, 'u3', 'eve');
    INSERT INTO removed_users VALUES (3);
    INSERT INTO contacts VALUES (1, 2, 'friend', 1, NULL);
    INSERT INTO chat_groups VALUES (1, 'g');
    INSERT INTO memberships VALUES (1, 1, 1, 1, 1, NULL), (1, 2, 0, 2, 1, 1), (1, 2, 0, 3, 2, NULL),
      (1, 3, 0, 4, 1, 1);
    INSERT INTO publications VALUES (1, 0, 'contact_added', '{}', '1'), (1, 1, 'contact_request', '{}', '2');
    INSERT INTO messages VALUES (2, 'd1-2', 1, 1, 'a', 'text', 't', 'c1'), (3, 'g1', 1, 1, 'a', 'text', 't', NULL),
      (4, 'd1-2', 2, 2, 'a', 'text', 't', NULL);
    INSERT INTO message_counts VALUES (1, 3, 4);
    INSERT INTO sockets VALUES ('x', 1, '/', 'l');
    INSERT INTO recoveries VALUES ('p', 1, 'i', 'x', 4, NULL);
    INSERT INTO departures VALUES (1, 2, 1);
    INSERT INTO connections VALUES (1, 1);
    """,
    "manager.db": """
    INSERT INTO manager VALUES (1, 'm', 2, 1);
    INSERT INTO sessions (supervisor, email, epoch, status, host, data, is_own)
      VALUES ('s1', 'c@d.e', 1, 'running', 'h', '{}', 1);
    INSERT INTO pool_users VALUES ('1', 1, 'serving', 's1', 1), ('2', 1, 'free', '', 2);
    INSERT INTO demands VALUES (1, 's1', 2);
    INSERT INTO transcripts VALUES ('s1', 1, 'm1', '1', '"a"'), ('s1', 2, 'm2', '1', '"b"');
    INSERT INTO forwarded VALUES (1, 's1', 'm3', '1', '"c"', 3);
    INSERT INTO relayed VALUES ('s1', '1', 2);
    INSERT INTO outbox VALUES (1048576, 'publish', 'e', 'k', x'', x'');
    """,
    "customers.db": """
    INSERT INTO customer_sessions VALUES ('c@d.e', 'c@d.e', 'RUNNING', 't', '{}', 0, 's1', 2, '');
    INSERT INTO session_messages VALUES ('s1', 1, '1', '"a"');
    INSERT INTO unheard VALUES ('s1', 2, 'm9', '"x"');
    """,
    "broker.db": """
    INSERT INTO exchanges VALUES ('e', 'direct', 0, 0, NULL);
    INSERT INTO queues VALUES (1, 'q', 0, x'00000000');
    INSERT INTO bindings VALUES (1, 'e', 'q', 0, 'k', x'00000000'), (2, 'amq.topic', 'e', 1, 'k', x'00000000');
    INSERT INTO messages VALUES (1, 'q', 'e', 'k', 0, x'', x'61', 0, NULL);
    """,
  ]

  private static func examples(_ database: String, _ list: [(promise: String, sql: String)]) -> [Example] {
    list.map { Example(database: database, promise: $0.promise, sql: $0.sql) }
  }

  static let examples =
    examples(
      "accounts.db",
      [
        ("session_count is the number of a user's sessions", "UPDATE users SET session_count = 1 WHERE user_id = 'u1'"),
        ("identifiers have 1 to 64 characters", "UPDATE user_sessions SET session_id = '' WHERE session_id = 's1'"),
        ("a deleted user has no account", "UPDATE deleted_users SET user_id = 'u2'"),
        (
          "the ids of session events have no gaps",
          "INSERT INTO session_events (event_id, kind, user_id, session_id) VALUES (9, 'session_ended', 'u1', 's9')"
        ),
        ("the event of a deleted user is not above the last event", "UPDATE deleted_users SET event_id = 2"),
      ])
    + examples(
      "chat.db",
      [
        ("the number of messages is what was counted", "UPDATE message_counts SET messages = 2"),
        (
          "seq is 1, 2, 3, … in each conversation, after the messages that were removed",
          "UPDATE messages SET seq = 3 WHERE message_id = 4"
        ),
        (
          "the positions of messages and publications have no gap",
          "UPDATE messages SET message_id = 5 WHERE message_id = 4"
        ),
        ("a message is text, an image or an item of at most 65,536 bytes", "UPDATE messages SET kind = 'sound'"),
        ("the numbers of messages are in their bounds", "UPDATE messages SET seq = 0 WHERE message_id = 3"),
        ("the participants of a conversation exist", "UPDATE messages SET conversation = 'd1-9' WHERE message_id = 2"),
        ("a contact is between two users, one of whom asked", "UPDATE contacts SET asker = 3"),
        ("a stay in a group begins before it ends", "UPDATE memberships SET first_seq = 0 WHERE position = 1"),
        ("the stays of a user in a group do not overlap", "UPDATE memberships SET last_seq = 2 WHERE position = 2"),
        ("a group with members has an admin", "UPDATE memberships SET is_admin = 0"),
        ("a deleted user has no contacts and is in no group", "INSERT INTO removed_users VALUES (2)"),
        ("contacts.low is in chat_users", "INSERT INTO contacts VALUES (0, 1, 'new', 1, NULL)"),
        ("contacts.high is in chat_users", "INSERT INTO contacts VALUES (1, 9, 'new', 1, NULL)"),
        ("memberships.user_number is in chat_users", "INSERT INTO memberships VALUES (1, 9, 0, 9, 1, NULL)"),
        ("memberships.group_id is in chat_groups", "INSERT INTO memberships VALUES (9, 1, 1, 9, 1, NULL)"),
        ("sockets.user_number is in chat_users", "UPDATE sockets SET user_number = 9"),
        ("recoveries.user_number is in chat_users", "UPDATE recoveries SET user_number = 9"),
        ("departures.user_number is in chat_users", "UPDATE departures SET user_number = 9"),
        ("connections.user_number is in chat_users", "UPDATE connections SET user_number = 9"),
        ("removed_users.user_number is in chat_users", "UPDATE removed_users SET user_number = 9"),
        ("messages.sender is in chat_users", "UPDATE messages SET sender = 9 WHERE message_id = 2"),
      ])
    + examples(
      "manager.db",
      [
        ("SEQ is 1, 2, 3, … in each transcript", "UPDATE transcripts SET seq = 3 WHERE seq = 2"),
        ("a user has received no more than the transcript", "UPDATE relayed SET last_seq = 3"),
        ("a message is in the transcript or waits for its supervisor", "UPDATE forwarded SET message_id = 'm1'"),
        ("a user is offline, free, or with a supervisor that exists", "UPDATE pool_users SET supervisor = 's9'"),
        ("a demand is for 1 to 1,000,000 users", "UPDATE demands SET user_count = 0"),
        ("a session has a known status and a number within its bounds", "UPDATE sessions SET status = 'lost'"),
        ("an outbox has rows of commits that are done", "UPDATE outbox SET position = 2 * 1048576"),
        ("transcripts.supervisor is in sessions", "UPDATE transcripts SET supervisor = 's9'"),
        ("relayed.supervisor is in sessions", "UPDATE relayed SET supervisor = 's9'"),
        ("forwarded.supervisor is in sessions", "UPDATE forwarded SET supervisor = 's9'"),
        ("demands.supervisor is in sessions", "UPDATE demands SET supervisor = 's9'"),
      ])
    + examples(
      "customers.db",
      [
        ("SEQ is 1, 2, 3, … in each transcript", "UPDATE session_messages SET seq = 2"),
        (
          "a session is pending, being initialized or running, and a running one has a supervisor",
          "UPDATE customer_sessions SET status = 'ENDED'"
        ),
        (
          "a message that waits for a transcript belongs to a session and has one of its numbers",
          "UPDATE unheard SET number = 3"
        ),
      ])
    + examples(
      "broker.db",
      [
        ("the broker can use each row", "UPDATE queues SET arguments = x'FF'"),
        ("a message can be sent", "UPDATE messages SET message_id = -1"),
        ("messages.queue is in queues", "UPDATE messages SET queue = 'none'"),
        ("a binding is between an exchange and a queue or an exchange", "DELETE FROM exchanges"),
      ])

  /// Makes all databases with their rows, and runs a statement in one of them.
  private static func storage(breaking database: String = "", _ sql: String = "") throws -> MemoryStorage {
    let storage = MemoryStorage()
    for file in DataDirectory.databases {
      let connection = try SQLConnection(path: file.path, vfs: StorageVFS(storage), synchronous: true)
      try file.migrations.make(in: connection)
      try connection.run(try #require(rows[file.path]))
      if file.path == database { try connection.run(sql) }
    }
    return storage
  }

  @Test("rows that a service may write break no promise")
  func sound() throws {
    let check = try DirectoryCheck(of: Self.storage())
    #expect(check.databases.count == 5)
    #expect(check.lines == [])
  }

  @Test("a check finds rows that break a promise", arguments: examples)
  func breach(_ example: Example) throws {
    let lines = try DirectoryCheck(of: Self.storage(breaking: example.database, example.sql)).lines
    #expect(lines.contains { $0.hasPrefix("\(example.database): \(example.promise): ") }, "\(lines)")
  }

  @Test("each promise of a database has an example")
  func complete() {
    let known = Set(Self.examples.map(\.description))
    for database in DataDirectory.databases {
      for invariant in database.invariants { #expect(known.contains("\(database.path): \(invariant.promise)")) }
    }
  }

  @Test(
    "a check finds databases that do not agree",
    arguments: [
      ("chat.db", "INSERT INTO chat_users VALUES (4, 'u4', 'tom')", "a user of the chat has an account or is deleted"),
      ("customers.db", "UPDATE customer_sessions SET supervisor = 's9'", "the User Manager knows the session of"),
      ("customers.db", "UPDATE session_messages SET message = '\"z\"'", "a customer's transcript is that of"),
    ])
  func disagreement(database: String, sql: String, promise: String) throws {
    let lines = try DirectoryCheck(of: Self.storage(breaking: database, sql)).lines
    #expect(lines.contains { $0.hasPrefix(promise) }, "\(lines)")
  }

  @Test("a check finds references to missing rows")
  func foreignKeys() throws {
    let sql = "PRAGMA foreign_keys = off; DELETE FROM users WHERE user_id = 'u1'"
    let lines = try DirectoryCheck(of: Self.storage(breaking: "accounts.db", sql)).lines
    #expect(lines.contains("accounts.db: a row of user_sessions refers to a row of users that does not exist"))
  }

  @Test("a missing table, index or trigger is damage")
  func missing() throws {
    for (sql, part) in [
      ("DROP TABLE departures", "the column departures.user_number"),
      ("DROP INDEX contacts_by_high", "the index contacts_by_high"),
    ] {
      let check = try DirectoryCheck(of: Self.storage(breaking: "chat.db", sql))
      #expect(check.isDamaged)
      #expect(check.lines.contains("chat.db: \(part) is missing"), "\(check.lines)")
    }
  }

  @Test("each overwritten page of a database is damage")
  func pages() throws {
    let storage = try Self.storage()
    #expect(try DirectoryCheck(of: storage).isSound)
    let file = try storage.open("chat.db", create: false)
    let pages = try file.size() / 1024
    var found = 0
    for page in 0..<pages {
      var old = [UInt8](repeating: 0, count: 1024)
      try old.withUnsafeMutableBytes { _ = try file.read(into: $0, at: page * 1024) }
      try [UInt8](repeating: 0xEE, count: 1024).withUnsafeBytes { try file.write($0, at: page * 1024) }
      if try DirectoryCheck(of: storage).isDamaged { found += 1 }
      try old.withUnsafeBytes { try file.write($0, at: page * 1024) }
    }
    #expect(found == pages)
  }

  @Test("a compacted database has the same rows in fewer bytes")
  func compaction() throws {
    let storage = MemoryStorage()
    let database = ChatService.database
    do {
      let connection = try SQLConnection(path: database.path, vfs: StorageVFS(storage), synchronous: true)
      try database.migrations.make(in: connection)
      try connection.run(Self.rows["chat.db"]!)
      try connection.run(
        """
        WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 500)
        INSERT INTO publications SELECT 100 + i, 0, 'e', hex(randomblob(500)), '1' FROM n;
        DELETE FROM publications WHERE position > 100;
        """)
    }
    let sizes = try database.compact(in: storage)
    #expect(sizes.before > 500_000)
    #expect(sizes.after < 100_000)
    #expect(try DatabaseCheck(database, in: storage).isSound)
    #expect(storage.list() == ["chat.db", "chat.db-wal"])
    let connection = try SQLConnection(path: database.path, vfs: StorageVFS(storage), synchronous: true)
    #expect(try connection.first("SELECT count(*) FROM messages") { $0.int(0) } == 3)
    #expect(try connection.first("PRAGMA user_version") { Int($0.int(0)) } == database.migrations.version)
  }
}
