/// A running service.
public protocol Service: Sendable {
  /// The listening addresses with their names, such as `users` and `chat`.
  var addresses: [(name: String, address: SocketAddress)] { get }
  /// Refuses new requests, answers those in flight, and closes the service's database.
  func drain() async
}
