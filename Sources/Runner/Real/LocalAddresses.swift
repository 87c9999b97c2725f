import Environment
import Glibc

/// The addresses of this machine.
package enum LocalAddresses {
  /// Whether a socket can be bound to `host`: an address of this machine, the unspecified address,
  /// or a name of one of these.
  /// - Throws: `NetworkError.unreachable` if the name cannot be resolved.
  package static func contain(_ host: String) throws(NetworkError) -> Bool {
    let own = all
    return try InternetAddress.resolve(SocketAddress(host: host, port: 0), passive: true).contains { candidate in
      let text = candidate.socketAddress.host
      // All of 127.0.0.0/8 is this machine, though only one of its addresses is configured.
      if ["0.0.0.0", "::"].contains(text) || own.isEmpty { return true }
      return own.contains(text) || IPAddress(text).map { $0.isIPv4 && $0.isLoopback } == true
    }
  }

  /// The configured addresses, or none if the system does not list them.
  private static var all: [String] {
    var list: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&list) == 0 else { return [] }
    defer { freeifaddrs(list) }
    var result: [String] = []
    var next = list
    while let entry = next {
      next = entry.pointee.ifa_next
      guard let address = entry.pointee.ifa_addr else { continue }
      switch Int32(address.pointee.sa_family) {
      case AF_INET: result.append(InternetAddress(address, length: MemoryLayout<sockaddr_in>.size).socketAddress.host)
      case AF_INET6: result.append(InternetAddress(address, length: MemoryLayout<sockaddr_in6>.size).socketAddress.host)
      default: continue
      }
    }
    return result
  }
}
