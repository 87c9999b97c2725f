import Environment
import System

/// Settings of a simulated PostgreSQL.
public struct PostgreSQLOptions: Sendable {
  /// The host name of its node.
  static let host = "postgresql"

  /// The address that it listens at.
  public var address = SocketAddress(host: host, port: 5432)
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
  /// Called with each statement that the server was sent and does not know: a defect of the run.
  public var unknown: @Sendable (String) -> Void = { _ in }

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
  /// The number of COMMITs in ten thousand that get no answer: the connection ends, before the
  /// transaction is committed or after it.
  public var lostCommits = 0
  /// The number of statements, commits and connections that these faults failed.
  public internal(set) var struck = 0

  /// Creates the state without faults.
  public init() {}

  /// Ends all faults. The count stays.
  public func mend() {
    (serializationFailures, deadlocks, timeouts, lostCommits) = (0, 0, 0, 0)
    (refusesConnections, isReadOnly, commitDelay) = (false, false, .zero)
  }
}
