import Environment

/// The proxies that are trusted to name the client of a request.
///
/// Anybody can write `X-Forwarded-For`. Each hop is therefore trusted only if a trusted proxy named
/// it: the client is the rightmost hop that is not a trusted proxy itself (RFC 7239 §8.1).
public struct TrustedProxies: Sendable, Equatable {
  private let networks: [IPNetwork]

  /// Trusts the proxies in `networks`.
  public init(_ networks: [IPNetwork] = []) { self.networks = networks }

  /// The client of a request: `peer`, unless `peer` is a trusted proxy that names another.
  ///
  /// A hop that is not an address (`unknown`, `_hidden`, bad syntax) ends the search at the proxy
  /// that named it. So does a request in which `X-Forwarded-For` and `Forwarded` disagree: a proxy
  /// that writes one of them forwards the other unchanged from the client.
  func client(of fields: HTTPFields, from peer: SocketAddress) -> SocketAddress {
    guard !networks.isEmpty, let address = IPAddress(peer.host), isTrusted(address) else { return peer }
    let forwardedFor = fields.all("x-forwarded-for").flatMap {
      $0.utf8.split(separator: UInt8(ascii: ",")).map(Self.hop)
    }
    let forwarded = fields.all("forwarded").flatMap { Self.hops(inForwarded: Array($0.utf8)) }
    let first = client(forwardedFor, from: peer)
    let second = client(forwarded, from: peer)
    if forwardedFor.isEmpty { return second }
    return forwarded.isEmpty || first.host == second.host ? first : peer
  }

  /// Whether `host` is one of the proxies.
  func trusts(_ host: String) -> Bool { !networks.isEmpty && (IPAddress(host).map(isTrusted) ?? false) }

  private func isTrusted(_ address: IPAddress) -> Bool { networks.contains { $0.contains(address) } }

  private func client(_ hops: [Hop?], from peer: SocketAddress) -> SocketAddress {
    var client = peer
    for hop in hops.reversed() {
      guard let hop else { return client }
      client = SocketAddress(host: hop.address.description, port: hop.port)
      if !isTrusted(hop.address) { return client }
    }
    return client
  }

  // MARK: Reading

  private struct Hop {
    let address: IPAddress
    /// The port, or 0 if the hop has none.
    let port: UInt16
  }

  /// Parses a node of RFC 7239 §6 or an element of `X-Forwarded-For`: an address, optionally with
  /// brackets and a port.
  private static func hop(_ bytes: some Collection<UInt8>) -> Hop? {
    // Enough for the longest address in brackets and a port.
    let text = String(decoding: bytes.prefix(128), as: UTF8.self).trimmingBlanks
    if text.hasPrefix("[") {
      let parts = text.dropFirst().split(separator: "]", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, let address = IPAddress(parts[0]), !parts[0].contains(".") || parts[0].contains(":")
      else { return nil }
      if parts[1].isEmpty { return Hop(address: address, port: 0) }
      guard parts[1].hasPrefix(":") else { return nil }
      return Hop(address: address, port: UInt16(parts[1].dropFirst()) ?? 0)
    }
    if let address = IPAddress(text) { return Hop(address: address, port: 0) }
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, let address = IPAddress(parts[0]) else { return nil }
    return Hop(address: address, port: UInt16(parts[1]) ?? 0)
  }

  /// The hops of one `Forwarded` line (RFC 7239 §4); nil for an element without an address.
  private static func hops(inForwarded line: [UInt8]) -> [Hop?] {
    var hops: [Hop?] = []
    var element = ForwardedElement()
    var index = 0
    while index < line.count {
      switch line[index] {
      case UInt8(ascii: ","):
        hops.append(element.node.flatMap(hop))
        element = ForwardedElement()
      case UInt8(ascii: ";"): element.endPair()
      case UInt8(ascii: "\""): index = element.readQuoted(line, from: index)
      case let byte: element.append(byte)
      }
      index += 1
    }
    hops.append(element.node.flatMap(hop))
    return hops
  }

  /// The pairs of one element. Only `for` matters.
  private struct ForwardedElement {
    private var pair: [UInt8] = []
    private var isMalformed = false
    private var found: [UInt8]?

    /// The value of `for`.
    var node: [UInt8]? {
      var copy = self
      copy.endPair()
      return copy.isMalformed ? nil : copy.found
    }

    mutating func append(_ byte: UInt8) { pair.append(byte) }

    /// Reads a quoted string (RFC 9110 §5.6.4), which must be a whole value. Returns the index of
    /// its end.
    mutating func readQuoted(_ line: [UInt8], from start: Int) -> Int {
      if pair.last != UInt8(ascii: "=") { isMalformed = true }
      var index = start + 1
      while index < line.count, line[index] != UInt8(ascii: "\"") {
        if line[index] == UInt8(ascii: "\\") { index += 1 }
        if index < line.count { pair.append(line[index]) }
        index += 1
      }
      if index >= line.count { isMalformed = true }
      return index
    }

    mutating func endPair() {
      defer { pair = [] }
      let text = String(decoding: pair, as: UTF8.self).trimmingBlanks
      guard text.utf8.count > 3, text.prefix(4).lowercased() == "for=" else { return }
      if found != nil { isMalformed = true }
      found = Array(text.dropFirst(4).utf8)
    }
  }
}

extension String {
  /// The text without leading and trailing spaces and tabs.
  fileprivate var trimmingBlanks: Substring {
    var text = self[...]
    while let first = text.utf8.first, first == 0x20 || first == 0x09 { text = text.dropFirst() }
    while let last = text.utf8.last, last == 0x20 || last == 0x09 { text = text.dropLast() }
    return text
  }
}
