import Environment

/// Notifications by which the nodes that share a database wake each other.
struct PostgresWakeUps: Sendable {
  /// The name of the channel, an identifier of SQL.
  let channel: String
  /// The sender, as the payload of its notifications: letters and digits.
  let sender: String

  var notify: String { "NOTIFY \(channel), '\(sender)'" }
}

/// The PostgreSQL servers of a database, how to log in, and how many connections to keep.
public struct PostgresOptions: Sendable {
  /// The fewest and the most connections of a pool.
  public static let connectionRange = 8...32

  /// The servers, the user and the database.
  public var url: PostgresURL
  /// The password of `PGPASSWORD`. The URL's comes first.
  public var password: String?
  /// The content of the password file, the last place where a password is looked up.
  public var passwordFile = PostgresPasswordFile("")
  /// The most connections at once.
  public var connections = 16
  /// The time for one statement, and the time that it may wait for a lock.
  public var statementTimeout: Duration = .seconds(10)
  /// The time that a transaction waits for a connection.
  public var patience: Duration = .seconds(5)
  /// Encrypts connections; nil if they cannot be encrypted.
  public var tls: PostgresTLS?
  /// The time after which the server ends a connection whose transaction is open and does nothing;
  /// nil for `statementTimeout`.
  var idleTimeout: Duration?
  /// How connections wake other nodes; nil if they do not.
  var wakeUps: PostgresWakeUps?

  /// Creates options with the defaults.
  public init(_ url: PostgresURL) { self.url = url }

  /// A reason for which a service cannot use these options, for an operator to read; nil if it can.
  public var refusal: String? {
    switch url.target {
    case .any, .primary, .readWrite: nil
    case .standby, .readOnly, .preferStandby:
      "target_session_attrs=\(url.target.rawValue): a service writes; use read-write"
    }
  }

  /// Whether connections are encrypted, in the order in which `sslmode` tries it.
  var encryptions: [PostgresStartup.Encryption] {
    switch url.encryption {
    case .disable: [.never]
    case .allow: tls == nil ? [.never] : [.never, .required]
    case .prefer: tls == nil ? [.never] : [.ifOffered, .never]
    case .require, .verifyCA, .verifyFull: [.required]
    }
  }

  /// The start-up for a server.
  func startup(for host: SocketAddress, _ encryption: PostgresStartup.Encryption) -> PostgresStartup {
    let known = url.password ?? password
    let found = known ?? passwordFile.password(host: host, database: url.database, user: url.user)
    var startup = PostgresStartup(
      user: url.user, password: found, database: url.database, isLocal: host.isLoopback)
    startup.parameters = [
      PostgresParameter("application_name", url.applicationName), PostgresParameter("client_encoding", "UTF8"),
      PostgresParameter("DateStyle", "ISO"), PostgresParameter("TimeZone", "UTC"),
    ]
    startup.encryption = encryption
    return startup
  }
}
