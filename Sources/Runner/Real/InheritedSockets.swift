import CLinux
import Environment
import Glibc
import Synchronization

/// The listening sockets that a service manager has opened for this process (sd_listen_fds(3)).
///
/// A service that listens on the address of such a socket uses it. So clients can connect while the
/// service starts again, and to ports for which it has no rights.
package final class InheritedSockets: Sendable {
  /// Those of this process.
  package static let shared = InheritedSockets()
  /// The first descriptor that a service manager passes on: `SD_LISTEN_FDS_START`.
  private static let first: Int32 = 3
  /// The most sockets that are taken.
  private static let maximum = 256

  private let unused = Mutex<[(address: SocketAddress, descriptor: Int32)]>([])

  /// A socket that no service can use.
  package struct Unusable: Error {
    /// The reason.
    package let reason: String
  }

  /// Takes the sockets that the variables `LISTEN_FDS` and `LISTEN_PID` announce. Call it once,
  /// before the process opens files.
  package func take(_ environment: [(name: String, value: String)]) throws(Unusable) {
    func value(_ name: String) -> String? { environment.first { $0.name == name }?.value }
    // The variables may be meant for a process that has started this one.
    guard let count = value("LISTEN_FDS"), value("LISTEN_PID").flatMap({ Int32($0) }) == getpid() else { return }
    guard let count = Int32(count), (0...Int32(Self.maximum)).contains(count) else {
      throw Unusable(reason: "LISTEN_FDS must be 0 to \(Self.maximum), not \"\(count)\"")
    }
    for descriptor in Self.first..<Self.first + count {
      guard parley_adopt(descriptor) == 0 else {
        throw Unusable(
          reason: "the file descriptor \(descriptor) of LISTEN_FDS is not a stream socket that listens, in a service "
            + "without Accept=: \(String(cString: strerror(errno)))")
      }
      let (result, bound) = InternetAddress.filled { getsockname(descriptor, $0, $1) }
      guard result == 0, bound.isInternet else {
        throw Unusable(reason: "the file descriptor \(descriptor) of LISTEN_FDS is not a socket of TCP")
      }
      unused.withLock { $0.append((bound.socketAddress, descriptor)) }
    }
  }

  /// Hands out the socket that is bound to `address`.
  func take(_ address: SocketAddress) -> Int32? {
    unused.withLock { unused in
      unused.firstIndex { $0.address == address }.map { unused.remove(at: $0).descriptor }
    }
  }

  /// The addresses of the sockets that no service uses, in the order in which they were passed on.
  package var addresses: [SocketAddress] { unused.withLock { $0.map(\.address) } }
}
