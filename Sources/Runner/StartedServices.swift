import Environment
import Synchronization

/// The addresses of the services of a process, by their names.
final class StartedServices: Sendable {
  private let addresses = Mutex<[String: SocketAddress]>([:])

  func add(_ name: String, _ address: SocketAddress) { addresses.withLock { $0[name] = address } }

  subscript(name: String) -> SocketAddress? { addresses.withLock { $0[name] } }
}
