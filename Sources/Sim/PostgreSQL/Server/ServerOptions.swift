import Environment
import System

/// Settings of a simulated PostgreSQL.
public struct PostgreSQLOptions: Sendable {
  /// The address that it listens at.
  public var address = SocketAddress(host: "postgresql", port: 5432)
  /// The one database.
  public var database = "parley"
  /// The one user.
  public var user = "parley"
  /// The user's password, for SCRAM-SHA-256; nil to trust everyone.
  public var password: String?
  /// The rounds of SCRAM-SHA-256.
  public var rounds = 4096
  /// The number of connections beyond which 53300 is answered.
  public var maximumConnections = 100
  /// The time after which a wait is examined for a deadlock, PostgreSQL's default.
  public var deadlockTimeout: Duration = .seconds(1)
  /// What goes wrong.
  public var faults = PostgreSQLFaults()

  /// Creates the defaults.
  public init() {}
}

/// What goes wrong in a simulated PostgreSQL, beyond crashes and the faults of the disk and the
/// network. A run changes it while the server works: both run on the thread of the simulation.
public final class PostgreSQLFaults: @unchecked Sendable {
  /// The number of statements in ten thousand that fail with 40001 out of the blue.
  public var serializationFailures = 0
  /// The number of statements in ten thousand that fail with 40P01 out of the blue.
  public var deadlocks = 0
  /// The number of statements in ten thousand that fail with 57014, as if they had taken too long.
  public var timeouts = 0
  /// Whether new connections are refused with 53300.
  public var refusesConnections = false
  /// Whether it is read-only (25006), as a primary that came back as a standby.
  public var isReadOnly = false
  /// The time that a commit takes beyond that of the disk.
  public var commitDelay: Duration = .zero

  /// Creates the state without faults.
  public init() {}
}
