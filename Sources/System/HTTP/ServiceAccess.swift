import Environment

/// Who may call the endpoints that are for services only.
///
/// With a service token, the caller shows it. Without one, the caller is on this machine, and is not a browser that
/// works for a page from elsewhere, nor a proxy that passes on a request from elsewhere.
public struct ServiceAccess: Sendable {
  /// Characters of a token; a shorter one could be guessed.
  public static let shortestToken = 16

  let token: String?

  /// - Throws: 401 without the token where there is one; 421 for a host that is not loopback, as after DNS rebinding;
  ///   else 403.
  func check(_ request: HTTPRequest, bearer: String?, peer: SocketAddress) throws(HTTPFailure) {
    guard let token else { return try checkLocal(request, peer) }
    guard let bearer, Cryptography.constantTimeEqual(token.utf8, bearer.utf8) else {
      throw HTTPFailure(
        401, "this is for services: the service token is needed", fields: [("www-authenticate", "Bearer")])
    }
  }

  private func checkLocal(_ request: HTTPRequest, _ peer: SocketAddress) throws(HTTPFailure) {
    guard peer.isLoopback else {
      throw HTTPFailure(403, "this is for services: over anything but loopback a service token has to be configured")
    }
    guard let host = request.authority, Self.isLoopback(authority: host) else {
      throw HTTPFailure(421, "this is for services: without a service token the host has to be loopback")
    }
    let fields = request.fields
    if let name = fields.pairs.map(\.name).first(where: Self.isProxys) {
      throw HTTPFailure(403, "this is for services: without a service token no proxy may pass it on (\(name))")
    }
    let own = Self.origin(of: host)
    guard fields.all("origin").allSatisfy({ Self.withoutDefaultPort($0.lowercased()) == own }),
      fields.all("sec-fetch-site").allSatisfy({ $0 == "same-origin" || $0 == "none" })
    else { throw HTTPFailure(403, "this is for services: another page may not ask for it") }
  }

  /// Whether a proxy writes this field, whose name is in lower case.
  private static func isProxys(_ name: String) -> Bool {
    name == "forwarded" || name == "via" || name.hasPrefix("x-forwarded-")
  }

  /// Whether `host:port` names this machine, in a way that no DNS server has a say in.
  private static func isLoopback(authority: String) -> Bool {
    var host = authority[...]
    if let colon = host.lastIndex(of: ":"), !host.hasSuffix("]") {
      let port = host[host.index(after: colon)...]
      guard port.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else { return false }
      host = host[..<colon]
    }
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = host.dropFirst().dropLast()
      return host.contains(":") && SocketAddress(host: String(host), port: 0).isLoopback
    }
    return !host.contains(":") && SocketAddress(host: String(host), port: 0).isLoopback
  }

  /// The origin of the pages that this server serves under `authority` (RFC 6454 §4), in lower case.
  private static func origin(of authority: String) -> String {
    withoutDefaultPort("http://" + authority.lowercased())
  }

  private static func withoutDefaultPort(_ origin: String) -> String {
    origin.hasPrefix("http://") && origin.hasSuffix(":80") ? String(origin.dropLast(3)) : origin
  }
}
