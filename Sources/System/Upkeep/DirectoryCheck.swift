import Environment

/// The faults of a data directory that nobody else uses.
public struct DirectoryCheck: Sendable {
  /// The check of each database that is in the directory.
  public private(set) var databases: [(database: ServiceDatabase, check: DatabaseCheck)] = []
  /// Promises that the databases break together.
  public private(set) var breaches: [String] = []

  /// Whether there are no faults.
  public var isSound: Bool { breaches.isEmpty && databases.allSatisfy(\.check.isSound) }
  /// Whether a database cannot be used.
  public var isDamaged: Bool { databases.contains { !$0.check.damage.isEmpty } }

  /// The faults, a line each, with the names of their files.
  public var lines: [String] {
    databases.flatMap { entry in
      (entry.check.damage + entry.check.breaches).map { "\(entry.database.path): \($0)" }
    } + breaches
  }

  /// Checks all databases of a directory, and compares them with each other unless `isComparing` is
  /// false. Then promises about what one service has told another are left out, too. Copies their
  /// logs into them.
  public init(of storage: any Storage, isComparing: Bool = true) throws(DatabaseError) {
    let found = try DatabaseFile.asDatabaseError { () throws(StorageError) in
      try DataDirectory.databases(in: storage)
    }
    for database in found {
      databases.append((database, try DatabaseCheck(database, in: storage, isComparing: isComparing)))
    }
    guard !isDamaged, isComparing else { return }
    let current = databases.filter { $0.check.version == $0.database.migrations.version }.map(\.database.path)
    breaches = try Self.disagreements(of: current, in: storage)
  }

  /// Promises that databases of a directory break together.
  private static func disagreements(of databases: [String], in storage: any Storage) throws(DatabaseError) -> [String] {
    var breaches: [String] = []
    for rule in rules where databases.contains(rule.first.path) && databases.contains(rule.second.path) {
      let connection = try SQLConnection(path: rule.first.path, vfs: StorageVFS(storage), synchronous: true)
      try connection.execute("ATTACH $1 AS other", .text(rule.second.path))
      breaches += try rule.invariant.breaches(in: connection)
    }
    return breaches
  }

  /// The sessions that the manager has removed, or is removing. It tells the Customer Server after
  /// that.
  private static let isRemoved = """
    (EXISTS (SELECT 1 FROM other.sessions s WHERE s.supervisor = c.supervisor AND s.is_erased)
      OR c.supervisor NOT IN (SELECT supervisor FROM other.sessions) AND c.supervisor GLOB 's[1-9]*'
        AND CAST(substr(c.supervisor, 2) AS INTEGER) < (SELECT next_session FROM other.manager))
    """

  /// Promises about two databases. They hold at each moment, since a service commits before it
  /// tells the next one.
  private static let rules: [(first: ServiceDatabase, second: ServiceDatabase, invariant: Invariant)] = [
    (
      ChatService.database, UserService.database,
      Invariant(
        "a user of the chat has an account or is deleted",
        """
        SELECT account_id FROM chat_users u
        WHERE user_number NOT IN (SELECT user_number FROM removed_users)
          AND NOT EXISTS (SELECT 1 FROM other.users a WHERE a.user_id = u.account_id)
          AND NOT EXISTS (SELECT 1 FROM other.deleted_users d WHERE d.user_id = u.account_id)
        """)
    ),
    (
      CustomerServer.database, UserManager.database,
      Invariant(
        "the User Manager knows the session of a customer",
        """
        SELECT supervisor FROM customer_sessions c
        WHERE status = 'RUNNING' AND supervisor NOT IN (SELECT supervisor FROM other.sessions) AND NOT \(isRemoved)
        """)
    ),
    (
      CustomerServer.database, UserManager.database,
      Invariant(
        "a customer's transcript is that of the User Manager",
        """
        SELECT c.supervisor || ' ' || c.seq FROM session_messages c
        LEFT JOIN other.transcripts t ON t.supervisor = c.supervisor AND t.seq = c.seq
        WHERE (t.seq IS NULL AND NOT \(isRemoved)) OR t.sender <> c.sender OR t.message <> c.message
        """)
    ),
  ]
}

extension DirectoryCheck {
  /// The faults of databases in memory, a line each. `isComparing` as for `init`.
  public static func faults(of files: [(name: String, bytes: [UInt8])], isComparing: Bool) -> [String] {
    do throws(DatabaseError) {
      return try DirectoryCheck(of: MemoryStorage(files), isComparing: isComparing).lines
    } catch {
      return [error.reason]
    }
  }

  /// Returns the promises that the tables of services on servers break, a line each. `isComparing`
  /// as for `init`. A service comes before those that tell it something: the tables of each are of
  /// a moment of their own.
  package static func breaches(
    _ environment: Environment, of services: [ServiceDatabase], on servers: PostgresOptions, isComparing: Bool
  ) async throws -> [String] {
    let copies = MemoryStorage()
    var breaches: [String] = []
    for service in services {
      breaches += try await service.breaches(
        environment, on: servers, copiedTo: copies, isComparing: isComparing)
    }
    return isComparing ? breaches + (try disagreements(of: services.map(\.path), in: copies)) : breaches
  }
}
