import Environment

/// Everything that the databases of a directory hold about an account, for its user.
public enum AccountExport {
  /// The databases that it reads, where they are there.
  public static let databases = [
    UserService.database, ChatService.database, UserManager.database, CustomerServer.database,
  ]

  /// Reads copies of the databases as of one moment, which nobody else uses. What a database holds
  /// is `null` if the directory does not have it.
  /// - Throws: `DatabaseError`, also for a database of another release; `DirectoryView.NotFound`.
  public static func make(of name: String, in storage: any Storage) throws -> JSONValue {
    let accounts = try UserService.database.opened(in: storage)
    let id = try DirectoryView.account(name, in: accounts)
    guard
      let account = try accounts.first(
        "SELECT username, user_email, created_at, last_login, disabled_at FROM users WHERE user_id = $1",
        .text(id.value), row: { row in (0..<5).map { row.isNull($0) ? JSONValue.null : .string(row.text($0)) } })
    else { throw DirectoryView.NotFound(reason: "no account \"\(name)\"") }
    func read(_ database: ServiceDatabase, _ body: (SQLConnection) throws -> JSONValue) throws -> JSONValue {
      try storage.exists(database.path) ? body(try database.opened(in: storage)) : .null
    }
    var number: Int64?
    let chat = try read(ChatService.database) { connection in
      number = try connection.first("SELECT user_number FROM chat_users WHERE account_id = $1", .text(id.value)) {
        $0.int(0)
      }
      return try number.map { try Self.chat($0, connection) } ?? .null
    }
    let email = CustomerEmail(account[1].string ?? "")
    let customer = try read(CustomerServer.database) { connection in
      try email.map { try Self.customer($0, connection) } ?? .null
    }
    let supervised = try read(UserManager.database) { try Self.supervised(number, email, $0) }
    return [
      "user_id": .string(id.value), "username": account[0], "email": account[1], "created_at": account[2],
      "last_login": account[3], "disabled_at": account[4], "sessions": try sessions(of: id, accounts), "chat": chat,
      "customer": customer, "supervised_sessions": supervised,
    ]
  }

  /// The sessions without their ids, which are secrets.
  private static func sessions(of id: AccountID, _ connection: SQLConnection) throws -> JSONValue {
    .array(
      try connection.query(
        "SELECT created_at, last_used FROM user_sessions WHERE user_id = $1 ORDER BY rowid", .text(id.value)
      ) {
        [
          "created_at": .string($0.text(0)),
          "last_used": $0.isNull(1) ? .null : .string(Timestamp(microseconds: $0.int(1) &* 1000).rfc3339),
        ]
      })
  }

  /// Contacts, groups and the messages that the user has sent.
  private static func chat(_ number: Int64, _ connection: SQLConnection) throws -> JSONValue {
    let contacts: [JSONValue] = try connection.query(
      """
      SELECT u.username, c.status FROM contacts c
      JOIN chat_users u ON u.user_number = CASE WHEN c.low = $1 THEN c.high ELSE c.low END
      WHERE c.low = $1 OR c.high = $1 ORDER BY u.username
      """, .int(number)
    ) { ["username": .string($0.text(0)), "status": .string($0.text(1))] }
    let groups: [JSONValue] = try connection.query(
      """
      SELECT m.group_id, g.name, m.is_admin, m.last_seq IS NULL FROM memberships m
      JOIN chat_groups g ON g.group_id = m.group_id WHERE m.user_number = $1 ORDER BY m.position
      """, .int(number)
    ) {
      [
        "group_id": .int($0.int(0)), "name": .string($0.text(1)), "is_admin": .bool($0.int(2) != 0),
        "is_member": .bool($0.int(3) != 0),
      ]
    }
    let names = try connection.query("SELECT user_number, username FROM chat_users") { ($0.int(0), $0.text(1)) }
    let nameOf = Dictionary(names) { first, _ in first }
    let messages: [JSONValue] = try connection.query(
      "SELECT conversation, seq, content, kind, created_at FROM messages WHERE sender = $1 ORDER BY message_id",
      .int(number)
    ) { row in
      var members: [JSONValue.Member] = []
      switch ConversationID(key: row.text(0)) {
      case .direct(let low, let high)?:
        let other = low.value == number ? high.value : low.value
        members.append(.init("recipient", nameOf[other].map { .string($0) } ?? .int(other)))
      case .group(let group)?: members.append(.init("group_id", .int(group.value)))
      case nil: members.append(.init("conversation", .string(row.text(0))))
      }
      return .object(
        members + [
          .init("seq", .int(row.int(1))), .init("type", .string(row.text(3))), .init("content", .string(row.text(2))),
          .init("timestamp", .string(row.text(4))),
        ])
    }
    return [
      "user_id": .int(number), "contacts": .array(contacts), "groups": .array(groups), "messages": .array(messages),
    ]
  }

  /// The customer's request or session, and its transcript.
  private static func customer(_ email: CustomerEmail, _ connection: SQLConnection) throws -> JSONValue {
    let found = try connection.first(
      "SELECT status, data, requested_at, supervisor FROM customer_sessions WHERE email_key = $1", .text(email.key)
    ) { row in
      (
        status: row.text(0), data: row.text(1),
        requestedAt: Timestamp(microseconds: row.int(2) &* 1000).rfc3339, supervisor: row.text(3)
      )
    }
    guard let found else { return .null }
    return [
      "status": .string(found.status), "requested_at": .string(found.requestedAt), "data": json(found.data),
      "session": .string(found.supervisor),
      "transcript": try transcript(
        "SELECT seq, sender, message FROM session_messages WHERE supervisor = $1 ORDER BY seq", found.supervisor,
        connection),
    ]
  }

  /// The transcripts of the sessions of a customer, and what the user has said in sessions of
  /// others.
  private static func supervised(
    _ number: Int64?, _ email: CustomerEmail?, _ connection: SQLConnection
  ) throws -> JSONValue {
    let sessions = try connection.query("SELECT supervisor, email, status FROM sessions ORDER BY rowid") {
      (id: $0.text(0), email: CustomerEmail($0.text(1)), status: $0.text(2))
    }
    var own: [JSONValue] = []
    for session in sessions where email != nil && session.email?.key == email?.key {
      let lines = try transcript(
        "SELECT seq, sender, message FROM transcripts WHERE supervisor = $1 ORDER BY seq", session.id, connection)
      own.append(["session": .string(session.id), "status": .string(session.status), "transcript": lines])
    }
    var said: [JSONValue] = []
    if let number {
      said = try connection.query(
        "SELECT supervisor, seq, message FROM transcripts WHERE sender = $1 ORDER BY supervisor, seq",
        .text(JSONValue.int(number).text)
      ) { ["session": .string($0.text(0)), "seq": .int($0.int(1)), "message": json($0.text(2))] }
    }
    return ["as_customer": .array(own), "as_user": .array(said)]
  }

  private static func transcript(
    _ query: SQLText, _ session: String, _ connection: SQLConnection
  ) throws -> JSONValue {
    .array(
      try connection.query(query, .text(session)) {
        ["seq": .int($0.int(0)), "from": json($0.text(1)), "message": json($0.text(2))]
      })
  }

  /// A stored JSON value; the text itself if it is none.
  private static func json(_ text: String) -> JSONValue { (try? JSONParser.parse(Array(text.utf8))) ?? .string(text) }
}

extension ServiceDatabase {
  /// Opens a copy of the database that nobody else uses.
  /// - Throws: `DatabaseError`, also for a database of another release.
  func opened(in storage: any Storage) throws(DatabaseError) -> SQLConnection {
    let connection = try SQLConnection(path: path, vfs: StorageVFS(storage), synchronous: true)
    try connection.moveLog()
    let version = try connection.first("PRAGMA user_version") { Int($0.int(0)) } ?? 0
    guard version == migrations.version else {
      throw DatabaseError.failed("\(path) has schema \(version), and this release \(migrations.version)")
    }
    return connection
  }
}
