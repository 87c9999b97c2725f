import Environment

/// Everything that the services of a directory hold about an account, for its user.
public enum AccountExport {
  /// The databases that it reads, where they are there.
  public static let databases = [
    UserService.database, ChatService.database, UserManager.database, CustomerServer.database,
  ]

  /// Reads the tables of each service as of one moment. What a service holds is `null` if it has no
  /// tables; the whole is nil if the User Service has none.
  /// - Throws: `DatabaseError`, also for tables of another release; `DirectoryView.NotFound`.
  public static func make(of name: String, in tables: some ReadTables) throws -> JSONValue? {
    guard let account = try tables.read(UserService.database, { try await Self.account(name, $0) }) else { return nil }
    let email = CustomerEmail(account.email)
    let chat = try tables.read(ChatService.database) { try await Self.chat(of: account.id, $0) }
    let number = chat?["user_id"]?.int
    let customer = try tables.read(CustomerServer.database) { try await Self.customer(email, $0) }
    let supervised = try tables.read(UserManager.database) { try await Self.supervised(number, email, $0) }
    return .object(
      account.members + [
        .init("chat", chat ?? .null), .init("customer", customer ?? .null),
        .init("supervised_sessions", supervised ?? .null),
      ])
  }

  private struct Account {
    let id: AccountID
    let email: String
    let members: [JSONValue.Member]
  }

  private static func account(_ name: String, _ session: SQLSession) async throws -> Account {
    let id = try await DirectoryView.account(name, in: session)
    let names = ["username", "email", "created_at", "last_login", "disabled_at"]
    let cells = try await session.first(
      "SELECT username, user_email, created_at, last_login, disabled_at FROM users WHERE user_id = $1",
      .text(id.value), row: { row in names.indices.map { row.isNull(Int32($0)) ? nil : row.text(Int32($0)) } })
    guard let cells else { throw DirectoryView.NotFound(reason: "no account \"\(name)\"") }
    let fields = zip(names, cells).map { JSONValue.Member($0, $1.map { .string($0) } ?? .null) }
    let sessions = try await sessions(of: id, session)
    return Account(
      id: id, email: cells[1] ?? "",
      members: [.init("user_id", .string(id.value))] + fields + [.init("sessions", sessions)])
  }

  /// The sessions without their ids, which are secrets.
  private static func sessions(of id: AccountID, _ session: SQLSession) async throws -> JSONValue {
    .array(
      try await session.query(
        "SELECT created_at, last_used FROM user_sessions WHERE user_id = $1 ORDER BY rowid", .text(id.value)
      ) {
        [
          "created_at": .string($0.text(0)),
          "last_used": $0.isNull(1) ? .null : .string(Timestamp(microseconds: $0.int(1) &* 1000).rfc3339),
        ]
      })
  }

  /// Contacts, groups and the messages that the user has sent; `null` for one who never used the
  /// chat.
  private static func chat(of id: AccountID, _ session: SQLSession) async throws -> JSONValue {
    let found = try await session.first("SELECT user_number FROM chat_users WHERE account_id = $1", .text(id.value)) {
      $0.int(0)
    }
    guard let number = found else { return .null }
    let contacts: [JSONValue] = try await session.query(
      """
      SELECT u.username, c.status FROM contacts c
      JOIN chat_users u ON u.user_number = CASE WHEN c.low = $1 THEN c.high ELSE c.low END
      WHERE c.low = $1 OR c.high = $1 ORDER BY u.username
      """, .int(number)
    ) { ["username": .string($0.text(0)), "status": .string($0.text(1))] }
    let groups: [JSONValue] = try await session.query(
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
    let names = try await session.query(
      """
      SELECT user_number, username FROM chat_users WHERE user_number IN
      (SELECT CASE WHEN low = $1 THEN high ELSE low END FROM contacts WHERE low = $1 OR high = $1)
      """, .int(number)
    ) { ($0.int(0), $0.text(1)) }
    let nameOf = Dictionary(names) { first, _ in first }
    let messages: [JSONValue] = try await session.query(
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
  private static func customer(_ email: CustomerEmail?, _ session: SQLSession) async throws -> JSONValue {
    guard let email else { return .null }
    let found = try await session.first(
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
      "transcript": try await transcript(
        "SELECT seq, sender, message FROM session_messages WHERE supervisor = $1 ORDER BY seq", found.supervisor,
        session),
    ]
  }

  /// The transcripts of the sessions of a customer, and what the user has said in sessions of
  /// others.
  private static func supervised(
    _ number: Int64?, _ email: CustomerEmail?, _ session: SQLSession
  ) async throws -> JSONValue {
    let sessions = try await session.query("SELECT supervisor, email, status FROM sessions ORDER BY supervisor") {
      (id: $0.text(0), email: CustomerEmail($0.text(1)), status: $0.text(2))
    }
    var own: [JSONValue] = []
    for one in sessions where email != nil && one.email?.key == email?.key {
      let lines = try await transcript(
        "SELECT seq, sender, message FROM transcripts WHERE supervisor = $1 ORDER BY seq", one.id, session)
      own.append(["session": .string(one.id), "status": .string(one.status), "transcript": lines])
    }
    var said: [JSONValue] = []
    if let number {
      said = try await session.query(
        "SELECT supervisor, seq, message FROM transcripts WHERE sender = $1 ORDER BY supervisor, seq",
        .text(JSONValue.int(number).text)
      ) { ["session": .string($0.text(0)), "seq": .int($0.int(1)), "message": json($0.text(2))] }
    }
    return ["as_customer": .array(own), "as_user": .array(said)]
  }

  private static func transcript(
    _ query: SQLText, _ supervisor: String, _ session: SQLSession
  ) async throws -> JSONValue {
    .array(
      try await session.query(query, .text(supervisor)) {
        ["seq": .int($0.int(0)), "from": json($0.text(1)), "message": json($0.text(2))]
      })
  }

  /// A stored JSON value; the text itself if it is none.
  private static func json(_ text: String) -> JSONValue { (try? JSONParser.parse(Array(text.utf8))) ?? .string(text) }
}
