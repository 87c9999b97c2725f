import Environment
import Synchronization

/// Leads from routes and sockets to the service, which is made after them.
final class ServiceReference<S: Service>: Sendable {
  private let held = Mutex<S?>(nil)

  /// Set once the service is made, and to nil when its server has ended.
  func set(_ service: S?) { held.withLock { $0 = service } }

  /// The service, when there is one.
  var service: S? { held.withLock { $0 } }

  func started() throws(HTTPFailure) -> S {
    guard let service else { throw HTTPFailure(503, "the service is starting") }
    return service
  }
}
