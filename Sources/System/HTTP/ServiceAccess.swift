import Environment

/// The access rule of endpoints that are for services only.
///
/// A caller whose certificate is of an authority of services has access. With a service token
/// configured, others have to show it. Without one, the caller has to be on this machine, and has
/// to be neither a browser that acts for another site nor a proxy.
public struct ServiceAccess: Sendable {
  /// Minimum length of a token in characters. Shorter tokens could be guessed.
  public static let shortestToken = 16

  let token: String?
  /// The token of operators, which opens nothing else.
  var operatorToken: String?

  /// Checks an operator's request. Who is a service by its token or its certificate may do as much.
  /// - Throws: 401 for a missing or wrong token; 403 if no token is configured.
  func checkOperator(bearer: String?, isAuthenticated: Bool) throws(HTTPFailure) {
    if isAuthenticated { return }
    let tokens = [token, operatorToken].compactMap { $0 }
    guard !tokens.isEmpty else { throw HTTPFailure(403, "for operators only: no token is configured") }
    // Each token is compared, so that the time does not tell which one is nearly right.
    let matches = tokens.filter { Cryptography.constantTimeEqual($0.utf8, (bearer ?? "").utf8) }
    guard !matches.isEmpty else {
      throw HTTPFailure(
        401, "for operators only: the operators' token is required", fields: [("www-authenticate", "Bearer")])
    }
  }

  /// - Throws: 401 for a missing or wrong token; 421 for a host other than loopback, as after DNS
  ///   rebinding; otherwise 403.
  func check(
    _ request: HTTPRequest, bearer: String?, peer: SocketAddress, isAuthenticated: Bool = false,
    isSecure: Bool = false
  )
    throws(HTTPFailure)
  {
    if isAuthenticated { return }
    guard let token else { return try checkLocal(request, peer, isSecure: isSecure) }
    guard let bearer, Cryptography.constantTimeEqual(token.utf8, bearer.utf8) else {
      throw HTTPFailure(
        401, "for services only: the service token is required", fields: [("www-authenticate", "Bearer")])
    }
  }

  private func checkLocal(_ request: HTTPRequest, _ peer: SocketAddress, isSecure: Bool) throws(HTTPFailure) {
    guard peer.isLoopback else {
      throw HTTPFailure(403, "for services only: beyond loopback, a service token has to be configured")
    }
    guard let host = request.authority, Self.isLoopback(authority: host) else {
      throw HTTPFailure(421, "for services only: without a service token, the host has to be loopback")
    }
    let fields = request.fields
    if let name = fields.pairs.map(\.name).first(where: Self.isAddedByProxy) {
      throw HTTPFailure(403, "for services only: without a service token, proxies are refused (\(name))")
    }
    let own = Self.withoutDefaultPort((isSecure ? "https://" : "http://") + host.lowercased())
    guard fields.all("origin").allSatisfy({ Self.withoutDefaultPort($0.lowercased()) == own }),
      fields.all("sec-fetch-site").allSatisfy({ $0 == "same-origin" || $0 == "none" })
    else { throw HTTPFailure(403, "for services only: requests of other pages are refused") }
  }

  /// Whether a proxy adds the field `name`, which is in lower case.
  private static func isAddedByProxy(_ name: String) -> Bool {
    name == "forwarded" || name == "via" || name.hasPrefix("x-forwarded-")
  }

  /// Whether `host:port` names this machine without the help of a DNS server.
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

  /// An origin (RFC 6454 §4) without the port that its scheme has by default.
  private static func withoutDefaultPort(_ origin: String) -> String {
    if origin.hasPrefix("http://"), origin.hasSuffix(":80") { return String(origin.dropLast(3)) }
    if origin.hasPrefix("https://"), origin.hasSuffix(":443") { return String(origin.dropLast(4)) }
    return origin
  }
}
