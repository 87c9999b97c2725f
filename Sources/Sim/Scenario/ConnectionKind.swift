/// The actions of attackers and callers: what they do over one kind of connection.
enum ConnectionKind: String, CaseIterable, Sendable {
  /// A logged-in client of the broker, with queues and exchanges of its own.
  case amqp
  /// A client of the sockets of the Chat Service.
  case sockets
  /// A client of the HTTP services.
  case http
  /// A client of the broker that publishes to the queues of the services.
  case queues
}
