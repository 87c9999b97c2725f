/// A service that runs: what both worlds start and stop.
public protocol Service: Sendable {
  /// Its listening addresses by name: `users`, `chat` …
  var addresses: [(name: String, address: SocketAddress)] { get }
  /// Stops taking requests, answers those in flight, and closes its database.
  func drain() async
}
