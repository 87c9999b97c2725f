import Environment
import Real
import System

/// A setting of `serve`: a flag, an environment variable and a configuration key with the same
/// meaning.
struct Setting {
  /// The values that a setting accepts.
  enum Kind {
    case text
    /// An IP address or a host name.
    case host
    case port
    case integer(ClosedRange<Int>)
    case duration(ClosedRange<Duration>)
    case oneOf([String])
    case list
    /// A list of addresses or networks.
    case networks
    /// `true` or `false`. The flag has no value and means `true`.
    case flag
  }

  let flag: String
  let placeholder: String?
  let kind: Kind
  let standard: String?
  let help: String
  var isSecret = false
  /// Whether a part of the value may be a secret.
  var mayHoldSecret = false

  /// For example `PARLEY_ACCESS_TOKEN_TTL`.
  var variable: String { "PARLEY_" + String(flag.map { $0 == "-" ? "_" : $0 }).uppercased() }
  /// For example `accessTokenTtl`.
  var key: String {
    let words = flag.split(separator: "-")
    return words[0] + words.dropFirst().map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
  }
  /// The flag of the setting that names a file with this one, so that a secret is in no command
  /// line and no environment. Nil for a setting without secrets.
  var fileFlag: String? { isSecret || mayHoldSecret ? flag + "-file" : nil }

  private var fileSetting: Setting? {
    fileFlag.map {
      Setting(
        flag: $0, placeholder: "FILE", kind: .text, standard: nil,
        help: isRepeatable ? "file with a \(flag) in each line" : "file with the \(flag)")
    }
  }

  var isRepeatable: Bool {
    switch kind {
    case .list, .networks: true
    default: false
    }
  }

  /// Range of time-outs. Longer ones are typing errors.
  private static let patience: ClosedRange<Duration> = .milliseconds(1)...(.seconds(86_400))
  /// Range of lifetimes. Tokens count in whole seconds.
  private static let lifetime: ClosedRange<Duration> = .seconds(1)...(.seconds(3650 * 86_400))

  /// Minimum size of a token key in bytes. Keys below 32 bytes are accepted with a warning, for
  /// clients that have one.
  static let shortestSecret = 16

  /// Every setting, with the files of those that hold secrets.
  static let all: [Setting] = rows + rows.compactMap(\.fileSetting)

  private static let rows: [Setting] = [
    Setting(
      flag: "data", placeholder: "DIR", kind: .text, standard: "./parley-data",
      help: "directory of databases and keys"),
    Setting(
      flag: "host", placeholder: "ADDRESS", kind: .host, standard: "127.0.0.1",
      help: "address to listen on; addresses other than loopback require a service token or --tls-client-ca"),
    Setting(
      flag: "log-level", placeholder: "LEVEL", kind: .oneOf(Log.Level.allCases.map(\.name)), standard: "info",
      help: "debug, info, warning or error"),
    Setting(
      flag: "log-format", placeholder: "FORMAT", kind: .oneOf(LogFormat.allCases.map(\.rawValue)),
      standard: "json", help: "json or text"),
    Setting(
      flag: "users-port", placeholder: "PORT", kind: .port, standard: "8001",
      help: "port of the User Service; 0 selects a free port"),
    Setting(
      flag: "chat-port", placeholder: "PORT", kind: .port, standard: "5000",
      help: "port of the Chat Service; 0 selects a free port"),
    Setting(
      flag: "customers-port", placeholder: "PORT", kind: .port, standard: "5500",
      help: "port of the Customer Server; 0 selects a free port"),
    Setting(
      flag: "manager-port", placeholder: "PORT", kind: .port, standard: "20000",
      help: "port of the User Manager; 0 selects a free port"),
    Setting(
      flag: "amqp-port", placeholder: "PORT", kind: .port, standard: "5672",
      help: "port of the broker, with TLS by default 5671; 0 selects a free port"),
    Setting(
      flag: "broker-http-port", placeholder: "PORT", kind: .port, standard: nil,
      help: "port of the broker's /health and /metrics; 0 selects a free port; default: none"),
    Setting(
      flag: "supervisor-http-port", placeholder: "PORT", kind: .port, standard: nil,
      help: "port of a supervisor host's /health and /metrics; 0 selects a free port; default: none"),
    Setting(
      flag: "max-message-bytes", placeholder: "N", kind: .integer(65_536...134_217_728), standard: "16777216",
      help: "maximum size of a message in the broker"),
    Setting(
      flag: "dead-letter-retention", placeholder: "TIME", kind: .duration(.zero...(.seconds(49 * 86_400))),
      standard: "30d", help: "how long messages that no service can read are kept; 0 for good"),
    Setting(
      flag: "maximum-dead-letters", placeholder: "N", kind: .integer(0...1_000_000_000), standard: "0",
      help: "messages that no service can read that are kept, the latest ones; 0 for all"),
    Setting(
      flag: "message-retention", placeholder: "TIME", kind: .duration(.zero...lifetime.upperBound), standard: "0",
      help: "how long messages of the chat are kept; 0 for good"),
    Setting(
      flag: "maximum-messages", placeholder: "N", kind: .integer(0...1_000_000_000_000), standard: "0",
      help: "messages of the chat that are kept, the latest ones of all conversations; 0 for all"),
    Setting(
      flag: "ended-session-retention", placeholder: "TIME", kind: .duration(.zero...lifetime.upperBound),
      standard: "90d", help: "how long an ended supervised session is kept with its transcript; 0 for good"),
    Setting(
      flag: "maximum-ended-sessions", placeholder: "N", kind: .integer(0...1_000_000_000), standard: "0",
      help: "ended supervised sessions that are kept, the latest ones; 0 for all"),
    Setting(
      flag: "users-url", placeholder: "URL", kind: .text, standard: nil,
      help: "URL of the User Service, if another process runs it"),
    Setting(
      flag: "chat-url", placeholder: "URL", kind: .text, standard: nil,
      help: "URL of the Chat Service, for the names of users on the page of the User Manager"),
    Setting(
      flag: "manager-url", placeholder: "URL", kind: .text, standard: nil,
      help: "URL of the User Manager, for /health of the Customer Server; messages to it go through the broker"),
    Setting(
      flag: "amqp", placeholder: "URL", kind: .text, standard: nil,
      help: "URL of the broker, embedded or RabbitMQ: amqp://user:password@host:port/, or amqps://", mayHoldSecret: true
    ),
    Setting(
      flag: "tls-cert", placeholder: "FILE", kind: .list, standard: nil,
      help: "certificate in PEM form, with its chain, for TLS on every socket; repeatable, chosen by the client's SNI"),
    Setting(
      flag: "tls-key", placeholder: "FILE", kind: .list, standard: nil,
      help: "private key of --tls-cert in PEM form; repeatable, in the same order"),
    Setting(
      flag: "tls-self-signed", placeholder: nil, kind: .flag, standard: "false",
      help: "make a certificate that signs itself in the data directory, for trying TLS"),
    Setting(
      flag: "tls-client-ca", placeholder: "FILE", kind: .text, standard: nil,
      help: "authorities whose certificates prove that a client is a service, in place of the service token"),
    Setting(
      flag: "ca", placeholder: "FILE", kind: .text, standard: nil,
      help: "authorities of the servers that this process connects to; default: those of the system"),
    Setting(
      flag: "database", placeholder: "URL", kind: .text, standard: nil,
      help: "PostgreSQL in place of files, but for the broker's: postgresql://user:password@host:port/database"),
    Setting(
      flag: "users-database", placeholder: "URL", kind: .text, standard: nil,
      help: "PostgreSQL of the User Service, if other services of this process keep files"),
    Setting(
      flag: "chat-database", placeholder: "URL", kind: .text, standard: nil,
      help: "PostgreSQL of the Chat Service, if other services of this process keep files"),
    Setting(
      flag: "customers-database", placeholder: "URL", kind: .text, standard: nil,
      help: "PostgreSQL of the Customer Server, if other services of this process keep files"),
    Setting(
      flag: "manager-database", placeholder: "URL", kind: .text, standard: nil,
      help: "PostgreSQL of the User Manager, if other services of this process keep files"),
    Setting(
      flag: "node", placeholder: "NAME", kind: .text, standard: nil,
      help: "name of this process, one of several that share a database"),
    Setting(
      flag: "database-connections", placeholder: "N", kind: .integer(PostgresOptions.connectionRange), standard: "16",
      help: "maximum number of connections of a service to PostgreSQL"),
    Setting(
      flag: "service-token", placeholder: "T", kind: .text, standard: nil, help: "token that services show each other",
      isSecret: true),
    Setting(
      flag: "trusted-proxy", placeholder: "NETWORK", kind: .networks, standard: nil,
      help: "address or network whose X-Forwarded-For and Forwarded are trusted; repeatable"),
    Setting(
      flag: "jwt-secret", placeholder: "S", kind: .list, standard: nil,
      help:
        "key of the tokens, 32 bytes or more; repeatable, the first one signs; default: a random key in the data directory",
      isSecret: true),
    Setting(
      flag: "access-token-ttl", placeholder: "TIME", kind: .duration(lifetime), standard: "60m",
      help: "how long an access token is valid"),
    Setting(
      flag: "refresh-token-ttl", placeholder: "TIME", kind: .duration(lifetime), standard: "7d",
      help: "how long a refresh token is valid"),
    Setting(
      flag: "jwt-issuer", placeholder: "NAME", kind: .text, standard: nil,
      help: "iss of the tokens; tokens with another iss are refused"),
    Setting(
      flag: "jwt-audience", placeholder: "NAME", kind: .text, standard: nil,
      help: "aud of the tokens; tokens for other audiences are refused"),
    Setting(
      flag: "session-ttl", placeholder: "TIME", kind: .duration(.zero...lifetime.upperBound), standard: "30d",
      help: "time from the last use of a session to its end; 0 for never"),
    Setting(
      flag: "maximum-sessions", placeholder: "N", kind: .integer(1...1_000_000), standard: "1000",
      help: "maximum number of sessions of a user"),
    Setting(
      flag: "registration-limit", placeholder: "N", kind: .integer(0...1_000_000), standard: "20",
      help: "maximum number of registrations from an address in 15 minutes, except from this machine; 0 for no limit"),
    Setting(
      flag: "password-rounds", placeholder: "N", kind: .integer(1...10_000_000), standard: "600000",
      help: "rounds of PBKDF2-HMAC-SHA-256 for new passwords"),
    Setting(
      flag: "cors-origin", placeholder: "ORIGIN", kind: .list, standard: nil,
      help: "origin of pages that may call the services; repeatable; default: all"),
    Setting(
      flag: "max-head-bytes", placeholder: "N", kind: .integer(1024...1_048_576), standard: "32768",
      help: "maximum size of request line and header fields"),
    Setting(
      flag: "max-body-bytes", placeholder: "N", kind: .integer(1024...1_073_741_824), standard: "1048576",
      help: "maximum size of a request body"),
    Setting(
      flag: "head-timeout", placeholder: "TIME", kind: .duration(patience), standard: "10s",
      help: "maximum time for the head of a request to arrive"),
    Setting(
      flag: "idle-timeout", placeholder: "TIME", kind: .duration(patience), standard: "60s",
      help: "maximum time that a connection may be idle"),
    Setting(
      flag: "ping-interval", placeholder: "TIME", kind: .duration(patience), standard: "25s",
      help: "time between Socket.IO heartbeats"),
    Setting(
      flag: "ping-timeout", placeholder: "TIME", kind: .duration(patience), standard: "20s",
      help: "maximum time for the answer to a heartbeat"),
    Setting(
      flag: "max-payload", placeholder: "N", kind: .integer(1024...104_857_600), standard: "1000000",
      help: "maximum size of a Socket.IO message in bytes"),
    Setting(
      flag: "max-connections", placeholder: "N", kind: .integer(1...1_000_000), standard: "20000",
      help: "maximum number of connections; further ones get 503"),
  ]

  /// An address without the brackets of a URL: `[::1]` becomes `::1`.
  static func unbracketed(_ host: String) -> String {
    host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : host
  }

  private static func isHost(_ text: String) -> Bool {
    // A link-local address has a zone: `fe80::1%eth0`.
    if text.contains(":") { return IPAddress(text.prefix { $0 != "%" }) != nil }
    return (1...253).contains(text.utf8.count)
      && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-._".contains($0)) }
  }

  /// Checks a value. `source` names the flag, variable or key in errors.
  func check(_ value: String, _ source: String) throws(UsageError) {
    switch kind {
    case .text, .list:
      if value.isEmpty { throw UsageError("\(source): must not be empty") }
      // System calls would use the part before the zero byte.
      if value.utf8.contains(0) { throw UsageError("\(source): must not contain a zero byte") }
    case .networks:
      guard IPNetwork(value) != nil else {
        throw UsageError(
          "\(source): \"\(value)\" is not an address or network; write for example 127.0.0.1, 10.0.0.0/8, 2001:db8::/32"
        )
      }
    case .host:
      guard Self.isHost(Self.unbracketed(value)) else {
        throw UsageError("\(source): \"\(value)\" is not an IP address or a host name")
      }
    case .port:
      guard let port = Int(value), (0...65_535).contains(port) else {
        throw UsageError("\(source): \"\(value)\" is not a port from 0 to 65535")
      }
    case .integer(let range):
      guard let number = Int(value), range.contains(number) else {
        throw UsageError("\(source): \"\(value)\" is not a number from \(range.lowerBound) to \(range.upperBound)")
      }
    case .duration(let range):
      guard let duration = DurationText.parse(value), range.contains(duration) else {
        let (least, most) = (DurationText.format(range.lowerBound), DurationText.format(range.upperBound))
        throw UsageError(
          "\(source): \"\(value)\" is not a time from \(least) to \(most); write for example 500ms, 30s, 60m, 7d")
      }
    case .flag:
      guard ["true", "false"].contains(value) else {
        throw UsageError("\(source): \"\(value)\" is not true or false")
      }
    case .oneOf(let choices):
      guard choices.contains(value) else {
        let hint = Spelling.hint(value, among: choices, shown: { $0 })
        throw UsageError("\(source): \"\(value)\" is not one of \(choices.joined(separator: ", "))\(hint)")
      }
    }
    // A node of several has lost its place long before a message that it has not read is a minute
    // old.
    if flag == "message-retention", let age = DurationText.parse(value), age > .zero, age < .seconds(60) {
      throw UsageError("\(source): \"\(value)\" is neither 0 nor a time from 1m on")
    }
    if DatabaseURL.flags.contains(flag) { _ = try DatabaseURL.parse(value, source) }
    if flag == "service-token", value.utf8.count < ServiceAccess.shortestToken {
      throw UsageError(
        "\(source): a token must have at least \(ServiceAccess.shortestToken) characters, not \(value.utf8.count)")
    }
    if flag == "jwt-secret", value.utf8.count < Self.shortestSecret {
      throw UsageError(
        "\(source): a key for HS256 should have 32 bytes (RFC 7518 §3.2) and must have at least \(Self.shortestSecret), not \(value.utf8.count)"
      )
    }
  }
}
