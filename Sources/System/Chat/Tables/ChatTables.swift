/// The tables of the chat database, within one transaction.
///
/// ```swift
/// let name = try await database.transaction { connection in
///   try ChatTables(connection).users.username(of: user)
/// }
/// ```
struct ChatTables {
  private let connection: SQLSession

  init(_ connection: SQLSession) { self.connection = connection }

  var users: ChatUsersTable { ChatUsersTable(connection) }
  var contacts: ContactsTable { ContactsTable(connection) }
  var groups: GroupsTable { GroupsTable(connection) }
  var messages: MessagesTable { MessagesTable(connection) }
  var removed: RemovedMessagesTable { RemovedMessagesTable(connection) }
  var publications: PublicationsTable { PublicationsTable(connection) }
  var sockets: SocketsTable { SocketsTable(connection) }
  var recoveries: RecoveriesTable { RecoveriesTable(connection) }
  var departures: DeparturesTable { DeparturesTable(connection) }
  var nodes: ChatNodesTable { ChatNodesTable(connection) }
  var passed: PassedMessagesTable { PassedMessagesTable(connection) }
}
