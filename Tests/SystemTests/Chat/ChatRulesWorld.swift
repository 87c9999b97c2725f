@testable import Environment
@testable import Simulation

@testable import Sim
@testable import System

/// The rules of the chat in one transaction of a fresh database with the users ann, bob and cid.
struct ChatRulesWorld {
  let connection: SQLSession
  let users: [System.ChatUser]

  var tables: ChatTables { ChatTables(connection) }
  var contacts: ContactTransactions { ContactTransactions(tables: tables) }
  var groups: GroupTransactions { GroupTransactions(tables: tables) }
  var messages: MessageTransactions { MessageTransactions(tables: tables) }
  var removal: AccountRemoval { AccountRemoval(tables: tables) }
  var ann: UserNumber { users[0].number }
  var bob: UserNumber { users[1].number }
  var cid: UserNumber { users[2].number }

  static func run<R: Sendable>(_ body: @escaping @Sendable (ChatRulesWorld) async throws -> R) throws -> R {
    try World(seed: 1).perform { environment in
      let database = Database(environment, path: "chat.db", migrations: ChatSchema.migrations)
      return try await database.transaction { connection in
        var users: [System.ChatUser] = []
        for name in ["ann", "bob", "cid"] {
          let account = AccountID("id-\(name)")
          let number = try await ChatTables(connection).users.number(of: account, username: name)!
          users.append(System.ChatUser(number: number, account: account, username: name))
        }
        return try await body(ChatRulesWorld(connection: connection, users: users))
      }
    }
  }

  /// Makes two users friends.
  func befriend(_ a: UserNumber, _ b: UserNumber) async throws {
    _ = try await contacts.add(by: a, to: b)
    _ = try await contacts.add(by: b, to: a)
  }

  /// Stores a message at a fixed time.
  @discardableResult
  func send(
    _ content: String, _ kind: MessageKind = .text, by sender: UserNumber, in conversation: ConversationID,
    clientID: String? = nil
  ) async throws -> (message: ChatMessage, isNew: Bool) {
    try await messages.store(
      OutgoingMessage(content, kind, in: conversation, clientID: clientID), from: sender, at: "t")
  }

  /// The first 50 messages that a user may read.
  func history(_ conversation: ConversationID, for reader: UserNumber) async throws -> [ChatMessage] {
    try await tables.messages.history(of: conversation, for: reader, MessagePage())
  }
}
