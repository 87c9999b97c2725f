import Environment

/// A table of what a service has, for operators.
public struct DirectoryView: Sendable {
  /// The first word of the command, such as `users`.
  public let noun: String
  /// The second word, such as `list`.
  public let verb: String
  /// The placeholder of the argument; nil for a view without one.
  public let argument: String?
  /// The description.
  public let help: String
  /// The heads of the columns.
  public let columns: [String]
  /// The database that it reads: a file, or tables on a server.
  public let database: ServiceDatabase
  private let find: @Sendable (SQLSession, Question) async throws -> [[JSONValue]]

  /// What the operator asks for.
  struct Question: Sendable {
    let argument: String
    let limit: Int64
  }

  init(
    _ noun: String, _ verb: String, _ argument: String?, _ help: String, _ columns: [String],
    in database: ServiceDatabase, find: @escaping @Sendable (SQLSession, Question) async throws -> [[JSONValue]]
  ) {
    self.noun = noun
    self.verb = verb
    self.argument = argument
    self.help = help
    self.columns = columns
    self.database = database
    self.find = find
  }

  /// Reads at most `limit` rows. Returns nil if the service has no tables.
  /// - Throws: `DatabaseError`, also for tables of another release; `NotFound`.
  public func rows(in tables: some ReadTables, _ argument: String, limit: Int) throws -> [[JSONValue]]? {
    let (find, question) = (find, Question(argument: argument, limit: Int64(limit)))
    return try tables.read(database) { try await find($0, question) }
  }

  /// The argument names nothing.
  public struct NotFound: Error {
    /// The reason, for the operator.
    public let reason: String
  }

  /// All views, in the order of the help.
  public static let all = users + queues + sessions
}

// MARK: Users

extension DirectoryView {
  private static let users = [
    DirectoryView(
      "users", "list", nil, "the accounts, oldest first",
      ["USER_ID", "USERNAME", "EMAIL", "CREATED", "LAST_LOGIN", "SESSIONS", "DISABLED"],
      in: UserService.database
    ) { session, question in
      try await session.query(
        """
        SELECT user_id, username, user_email, created_at, last_login, session_count, disabled_at FROM users
        ORDER BY rowid LIMIT $1
        """, .int(question.limit)
      ) {
        [
          .string($0.text(0)), .string($0.text(1)), .string($0.text(2)), .string($0.text(3)), .string($0.text(4)),
          .int($0.int(5)), .string($0.text(6)),
        ]
      }
    },
    DirectoryView(
      "users", "show", "USER", "an account, by its id, username or email", ["FIELD", "VALUE"], in: UserService.database
    ) { session, question in
      let id = try await account(question.argument, in: session)
      return try await session.query(
        """
        SELECT user_id, username, user_email, created_at, last_login, session_count, password_hash, disabled_at
        FROM users WHERE user_id = $1
        """, .text(id.value)
      ) { row -> [[JSONValue]] in
        // What stands before the first `$` names the function and its rounds.
        let hash = row.text(6).split(separator: "$", maxSplits: 1, omittingEmptySubsequences: false)
        return [
          ["USER_ID", .string(row.text(0))], ["USERNAME", .string(row.text(1))], ["EMAIL", .string(row.text(2))],
          ["CREATED", .string(row.text(3))], ["LAST_LOGIN", .string(row.text(4))], ["SESSIONS", .int(row.int(5))],
          ["PASSWORD_HASH", .string(hash.count > 1 ? String(hash[0]) : "")], ["DISABLED", .string(row.text(7))],
        ]
      }.flatMap(\.self)
    },
    DirectoryView(
      "users", "sessions", "USER", "the sessions of an account; an id is a secret, so only its beginning is shown",
      ["SESSION_ID", "CREATED", "LAST_USED"], in: UserService.database
    ) { session, question in
      let id = try await account(question.argument, in: session)
      return try await session.query(
        """
        SELECT substr(session_id, 1, 6) || '…', created_at, last_used FROM user_sessions
        WHERE user_id = $1 ORDER BY rowid LIMIT $2
        """, .text(id.value), .int(question.limit)
      ) { row in
        let used = row.int(2) == 0 ? "" : Timestamp(microseconds: row.int(2) &* 1000).rfc3339
        return [.string(row.text(0)), .string(row.text(1)), .string(used)]
      }
    },
  ]

  static func account(_ text: String, in session: SQLSession) async throws -> AccountID {
    guard let id = try await AccountsTables(session).named(text) else {
      throw NotFound(reason: "no account \"\(text)\"")
    }
    return id
  }
}

// MARK: Queues

extension DirectoryView {
  /// Bytes of a message's body that are shown.
  private static let shownBytes = 120

  private static let queues = [
    DirectoryView(
      "queues", "list", nil, "the durable queues and the messages that are on the disk",
      ["QUEUE", "MESSAGES", "BYTES", "BINDINGS", "AUTO_DELETE"], in: Broker.database
    ) { session, question in
      try await session.query(
        """
        SELECT q.name, count(m.message_id), ifnull(sum(length(m.body)), 0),
          (SELECT count(*) FROM bindings b WHERE b.destination = q.name AND b.is_to_exchange = 0), q.is_auto_delete
        FROM queues q LEFT JOIN messages m ON m.queue = q.name GROUP BY q.name ORDER BY 2 DESC, 1 LIMIT $1
        """, .int(question.limit)
      ) { [.string($0.text(0)), .int($0.int(1)), .int($0.int(2)), .int($0.int(3)), .bool($0.int(4) != 0)] }
    },
    DirectoryView(
      "queues", "peek", "QUEUE", "the first messages of a queue that are on the disk, in order",
      ["MESSAGE", "EXCHANGE", "ROUTING_KEY", "TYPE", "BYTES", "BODY"], in: Broker.database
    ) { session, question in
      try await messages(of: question.argument, in: session, question.limit).map { message in
        [
          .int(message.id), .string(message.exchange), .string(message.routingKey),
          .string(message.properties.type?.shown ?? ""), .int(Int64(message.body.count)),
          .string(ShownBody.text(message.body, atMost: shownBytes)),
        ]
      }
    },
    DirectoryView(
      "queues", "dead-letters", nil, "the messages that a service could not read, with the reason",
      ["MESSAGE", "QUEUE", "REASON", "BYTES", "BODY"], in: Broker.database
    ) { session, question in
      try await messages(of: QueueNames.deadLetters, in: session, question.limit).map { message in
        let headers = message.properties.headers
        return [
          .int(message.id), .string(headers?[DeadLetterOrigin.queue]?.shown ?? ""),
          .string(headers?[DeadLetterOrigin.reason]?.shown ?? ""), .int(Int64(message.body.count)),
          .string(ShownBody.text(message.body, atMost: shownBytes)),
        ]
      }
    },
  ]

  private struct StoredMessage {
    let id: Int64
    let exchange: String
    let routingKey: String
    let properties: AMQPProperties
    let body: [UInt8]
  }

  private static func messages(
    of queue: String, in session: SQLSession, _ limit: Int64
  ) async throws -> [StoredMessage] {
    let isKnown = try await session.first("SELECT 1 FROM queues WHERE name = $1", .text(queue)) { _ in true } ?? false
    guard isKnown else { throw NotFound(reason: "no durable queue \"\(queue)\"") }
    return try await session.query(
      """
      SELECT message_id, exchange, routing_key, properties, body FROM messages WHERE queue = $1
      ORDER BY priority DESC, message_id LIMIT $2
      """, .text(queue), .int(limit)
    ) { row in
      var reader = AMQPReader(row.bytes(3)[...])
      let properties = (try? AMQPProperties(&reader)) ?? AMQPProperties()
      return StoredMessage(
        id: row.int(0), exchange: row.text(1), routingKey: row.text(2), properties: properties, body: row.bytes(4))
    }
  }
}

// MARK: Sessions

extension DirectoryView {
  private static let sessions = [
    DirectoryView(
      "sessions", "list", nil, "the supervised sessions, those that go on first, then those that ended last",
      ["SESSION", "STATUS", "CUSTOMER", "EPOCH", "HOST", "USERS", "DEMAND", "MESSAGES"], in: UserManager.database
    ) { session, question in
      try await session.query(
        """
        SELECT supervisor, status, email, epoch, host,
          (SELECT count(*) FROM pool_users u WHERE u.supervisor = s.supervisor AND place = 'serving'),
          (SELECT CAST(coalesce(sum(user_count), 0) AS BIGINT) FROM demands d WHERE d.supervisor = s.supervisor),
          (SELECT count(*) FROM transcripts t WHERE t.supervisor = s.supervisor)
        FROM sessions s ORDER BY status = 'ended', ended_at DESC, supervisor LIMIT $1
        """, .int(question.limit)
      ) {
        [
          .string($0.text(0)), .string($0.text(1)), .string($0.text(2)), .int($0.int(3)), .string($0.text(4)),
          .int($0.int(5)), .int($0.int(6)), .int($0.int(7)),
        ]
      }
    }
  ]
}
