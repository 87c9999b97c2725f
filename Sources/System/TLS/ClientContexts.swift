import Environment
import Synchronization

/// The contexts of a node's clients, one for each server. They are made at the first connection,
/// and again after the certificates of the process were replaced.
final class ClientContexts: Sendable {
  private let certificates: Certificates
  private let made = Mutex<[SocketAddress: (generation: Int, context: ClientContext)]>([:])

  init(_ certificates: Certificates) { self.certificates = certificates }

  /// The context for a server, which `make` makes of the certificates.
  func context(
    for address: SocketAddress, _ make: (Certificates.Contents) throws(TLSError) -> ClientContext
  ) throws(TLSError) -> ClientContext {
    let (generation, contents) = (certificates.generation, certificates.contents)
    if let known = made.withLock({ $0[address] }), known.generation == generation { return known.context }
    let context = try make(contents)
    made.withLock { $0[address] = (generation, context) }
    return context
  }
}
