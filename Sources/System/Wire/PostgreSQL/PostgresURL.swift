import Environment

/// The addresses of a PostgreSQL database and how to log in:
/// `postgresql://user:password@host:port,host2:port2/database?name=value` (PostgreSQL 15
/// documentation, §34.1.1.2).
public struct PostgresURL: Hashable, Sendable {
  /// Whether the connection is encrypted: `sslmode`.
  public enum Encryption: String, Hashable, Sendable, CaseIterable {
    case disable, allow, prefer, require
    case verifyCA = "verify-ca"
    case verifyFull = "verify-full"
  }

  /// Which of several servers is wanted: `target_session_attrs`.
  public enum Target: String, Hashable, Sendable, CaseIterable {
    case any, primary, standby
    case readWrite = "read-write"
    case readOnly = "read-only"
    case preferStandby = "prefer-standby"
  }

  /// A part of the URL that is wrong, in words that name it. It never holds the password.
  public struct Invalid: Error, Hashable, Sendable {
    /// The reason.
    public let reason: String
  }

  /// The most servers of a URL.
  static let maximumHosts = 16
  /// The longest URL in bytes.
  static let maximumLength = 4096
  /// The longest name of a role or a database: more is cut off by the server.
  static let maximumName = 63

  /// The servers, in the order in which they are tried.
  public private(set) var hosts: [SocketAddress] = []
  /// The role to log in as.
  public private(set) var user = ""
  /// Its password; nil if the URL has none.
  public var password: String?
  /// The database; the user's name if the URL has none.
  public private(set) var database = ""
  /// Whether the connection is encrypted.
  public private(set) var encryption = Encryption.prefer
  /// Which of several servers is wanted. A service writes, so the default differs from libpq's.
  public private(set) var target = Target.readWrite
  /// The name in `pg_stat_activity`.
  public private(set) var applicationName = "parley"
  /// The time for one attempt to connect.
  public private(set) var connectTimeout: Duration = .seconds(5)

  /// Parses a URL.
  public init(parsing text: String) throws(Invalid) {
    guard text.utf8.count <= Self.maximumLength else { throw Invalid(reason: "the URL is longer than 4096 bytes") }
    var rest = text[...]
    guard let scheme = ["postgresql://", "postgres://"].first(where: { rest.hasPrefix($0) }) else {
      throw Invalid(reason: "the URL must begin with postgresql://")
    }
    rest = rest.dropFirst(scheme.count)
    guard !rest.contains("#") else { throw Invalid(reason: "the URL must not have a fragment; write # as %23") }
    var query: Substring = ""
    if let mark = rest.firstIndex(of: "?") {
      query = rest[rest.index(after: mark)...]
      rest = rest[..<mark]
    }
    if let slash = rest.firstIndex(of: "/") {
      database = try Self.name(rest[rest.index(after: slash)...], "the database")
      rest = rest[..<slash]
    }
    if let at = rest.lastIndex(of: "@") {
      try parseLogin(rest[..<at])
      rest = rest[rest.index(after: at)...]
    }
    if user.isEmpty { throw Invalid(reason: "the user is missing: postgresql://USER@host/database") }
    try parseHosts(rest)
    try parseSettings(query)
    if database.isEmpty { database = user }
  }

  private mutating func parseLogin(_ text: Substring) throws(Invalid) {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    user = try Self.name(parts[0], "the user")
    if parts.count == 2 { password = try Self.decode(parts[1], "the password") }
  }

  private mutating func parseHosts(_ text: Substring) throws(Invalid) {
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      guard hosts.count < Self.maximumHosts else { throw Invalid(reason: "more than \(Self.maximumHosts) hosts") }
      hosts.append(try Self.host(part))
    }
  }

  private static func host(_ text: Substring) throws(Invalid) -> SocketAddress {
    var host = text
    var port: UInt16 = 5432
    let isBracketed = text.hasPrefix("[")
    if isBracketed, !text.contains("]") { throw Invalid(reason: "the host \"\(text)\" lacks its \"]\"") }
    let end = isBracketed ? text.lastIndex(of: "]")! : text.startIndex
    if let colon = text[end...].lastIndex(of: ":") {
      let digits = text[text.index(after: colon)...]
      guard let number = UInt16(digits), number > 0, digits.utf8.allSatisfy(\.isDigit) else {
        throw Invalid(reason: "the port \"\(digits)\" is not a number from 1 to 65535")
      }
      port = number
      host = text[..<colon]
    }
    if isBracketed {
      guard host.hasSuffix("]") else { throw Invalid(reason: "the host \"\(text)\" has more after its \"]\"") }
      host = host.dropFirst().dropLast()
      guard IPAddress(host.prefix { $0 != "%" }) != nil else {
        throw Invalid(reason: "the host \"[\(host)]\" is not an IPv6 address")
      }
    }
    let decoded = try decode(host, "the host")
    if decoded.isEmpty { throw Invalid(reason: "the host is missing: postgresql://user@HOST/database") }
    if decoded.hasPrefix("/") {
      throw Invalid(reason: "the host \"\(decoded)\" is a Unix socket, which is not supported; use 127.0.0.1")
    }
    let isName = decoded.utf8.allSatisfy { $0.isLetter || $0.isDigit || "-._:%".utf8.contains($0) }
    guard isName, decoded.utf8.count <= 253, isBracketed || !decoded.contains(":") else {
      throw Invalid(reason: "the host \"\(decoded)\" is not a host name or an address")
    }
    return SocketAddress(host: decoded, port: port)
  }

  private mutating func parseSettings(_ query: Substring) throws(Invalid) {
    var seen: [String] = []
    for part in query.split(separator: "&") {
      let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = try Self.decode(pair[0], "a parameter")
      guard pair.count == 2 else { throw Invalid(reason: "the parameter \"\(name)\" has no value") }
      let value = try Self.decode(pair[1], name)
      if seen.contains(name) { throw Invalid(reason: "the parameter \"\(name)\" is given twice") }
      seen.append(name)
      try set(name, value)
    }
  }

  private mutating func set(_ name: String, _ value: String) throws(Invalid) {
    switch name {
    case "sslmode": encryption = try Self.choice(name, value)
    case "target_session_attrs": target = try Self.choice(name, value)
    case "application_name":
      guard (1...Self.maximumName).contains(value.utf8.count), value.utf8.allSatisfy({ (0x20...0x7E).contains($0) })
      else { throw Invalid(reason: "application_name must be 1 to 63 printable ASCII characters") }
      applicationName = value
    case "connect_timeout":
      guard let seconds = Int64(value), (1...600).contains(seconds) else {
        throw Invalid(reason: "connect_timeout \"\(value)\" is not a number of seconds from 1 to 600")
      }
      connectTimeout = .seconds(seconds)
    case "password", "user", "host", "port", "dbname":
      throw Invalid(reason: "\(name) must not be a parameter; write postgresql://user:password@host:port/database")
    default:
      let known = ["sslmode", "target_session_attrs", "application_name", "connect_timeout"]
      throw Invalid(reason: "unknown parameter \"\(name)\"\(Spelling.hint(name, among: known, shown: { $0 }))")
    }
  }

  private static func choice<C: RawRepresentable & CaseIterable>(
    _ name: String, _ value: String
  ) throws(Invalid) -> C where C.RawValue == String {
    guard let choice = C(rawValue: value) else {
      let all = C.allCases.map(\.rawValue).joined(separator: ", ")
      throw Invalid(reason: "\(name) \"\(value)\" is not one of \(all)")
    }
    return choice
  }

  private static func name(_ text: Substring, _ part: String) throws(Invalid) -> String {
    let name = try decode(text, part)
    guard name.utf8.count <= maximumName else { throw Invalid(reason: "\(part) is longer than 63 bytes") }
    return name
  }

  private static func decode(_ text: Substring, _ part: String) throws(Invalid) -> String {
    guard let decoded = PercentEncoding.decode(text.utf8, plusIsSpace: false), !decoded.utf8.contains(0) else {
      throw Invalid(reason: "\(part) has an invalid escape; write % as %25")
    }
    return decoded
  }

  /// The URL without its password, for logs and `serve --check`.
  public static func redacted(_ url: String) -> String {
    guard let end = url.firstRange(of: "://")?.upperBound, let at = url.lastIndex(of: "@"), at >= end,
      let colon = url[end..<at].firstIndex(of: ":")
    else { return url }
    return url[..<colon] + ":***" + url[at...]
  }
}

/// The text of a password file, `~/.pgpass`: lines of `host:port:database:user:password`, each of
/// the first four a text or `*` (PostgreSQL 15 documentation, §34.16).
public struct PostgresPasswordFile: Sendable {
  private let entries: [[String]]

  /// Reads the lines of a file. Those that do not have five fields are ignored, as libpq does.
  public init(_ text: String) {
    entries = text.split(whereSeparator: \.isNewline).compactMap { line in
      line.utf8.first == UInt8(ascii: "#") ? nil : Self.fields(line)
    }
  }

  /// Splits a line at colons. A backslash escapes a colon or a backslash.
  private static func fields(_ line: Substring) -> [String]? {
    var fields = [""]
    var isEscaped = false
    for character in line {
      if isEscaped || character != "\\" && (character != ":" || fields.count == 5) {
        fields[fields.count - 1].append(character)
        isEscaped = false
      } else if character == "\\" {
        isEscaped = true
      } else {
        fields.append("")
      }
    }
    return fields.count == 5 ? fields : nil
  }

  /// The password of the first line that fits.
  public func password(host: SocketAddress, database: String, user: String) -> String? {
    let wanted = [host.host, String(host.port), database, user]
    return entries.first { entry in zip(entry, wanted).allSatisfy { $0 == "*" || $0 == $1 } }?[4]
  }
}
