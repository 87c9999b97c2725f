/// How much a node does at once: in a commit, a pass, a page, a turn. No client sees these limits.
///
/// A limit keeps one piece of work from holding up all others, and bounds its memory. With lower
/// limits a small simulated world turns a page, leaves work for the next turn, and fills a cache,
/// as only a large one would otherwise.
///
/// A limit that a client does see, since more is refused, is no part of this table.
public enum WorkLimit: String, CaseIterable, Sendable {
  case databaseBatch, databaseWrite, postgresBatch, postgresStatements
  case dispatchShare, journalRead, journalPage, deliveryBacklog, prefetch, publisherOutput
  case pollPackets
  case sessionSweep, sessionEvents, deletedAccounts
  case fanOutFill, idleSessions, sessionRechecks, nodeSockets, departures, removedMessages
  case managerBatch, outboxBatch, retiredSessions, retiredRows, staleUsers, joinedDemands
  case transcriptPage, transcriptRows, erasedRows

  /// A row of the table.
  public struct Row: Sendable {
    /// The unit.
    public let unit: String
    /// The limit where nothing else is configured.
    public let standard: Int
    /// The least value with which the code works.
    public let least: Int
    /// What the limit bounds.
    public let bounds: String

    init(_ unit: String, _ standard: Int, least: Int = 1, _ bounds: String) {
      (self.unit, self.standard, self.least, self.bounds) = (unit, standard, least, bounds)
    }
  }

  /// The row of the limit.
  public var row: Row {
    switch self {
    // Databases.
    case .databaseBatch: Row("transactions", 512, "one commit of a SQLite database")
    case .databaseWrite: Row("bytes", 1 << 18, "adjacent pages that are held until they are written together")
    case .postgresBatch: Row("transactions", 100, "one commit of transactions in PostgreSQL that take turns")
    case .postgresStatements: Row("statements", 1000, "prepared statements of a connection that is used again")
    // The broker and its clients.
    case .dispatchShare: Row("units", 1024, "deaths of messages in one turn: 8 for a dead letter, else 1")
    case .journalRead: Row("bytes", 8 << 20, "bodies that are read from the disk at once")
    case .journalPage: Row("messages", 256, "messages whose bodies are read from the disk at once")
    case .deliveryBacklog: Row("bytes", 1 << 20, "output that waits before a client gets no more deliveries")
    case .prefetch: Row("messages", 256, "deliveries that a consumer of our client holds")
    case .publisherOutput: Row("bytes", 1 << 20, "output up to which our client writes publications")
    // Sockets. python-engineio refuses payloads with more packets.
    case .pollPackets: Row("packets", 16, "the answer to a polling request")
    // The User Service.
    case .sessionSweep: Row("sessions", 500, "unused sessions that one transaction ends")
    case .sessionEvents: Row("events", 100, "events that the stream of ended sessions reads at once")
    case .deletedAccounts: Row("accounts", 500, "one page of deleted accounts")
    // The Chat Service.
    case .fanOutFill: Row("positions", 1000, "a gap in the publications that one read fills")
    case .idleSessions: Row("sessions", 50_000, "the cache of sessions, beyond those with sockets")
    case .sessionRechecks: Row("questions", 8, "questions about sessions at the same time")
    case .nodeSockets: Row("sockets", 100, "sockets of a dead node that one transaction removes")
    case .departures: Row("users", 100, "departures that are read at once")
    case .removedMessages: Row("messages", 500, "old messages that one pass removes")
    // The User Manager.
    case .managerBatch: Row("messages", 512, "one commit of the manager")
    case .outboxBatch: Row("messages", 512, "messages that the manager publishes together")
    case .retiredSessions: Row("sessions", 100, "ended sessions of one pass of their removal")
    case .retiredRows: Row("rows", 1000, "rows that one pass of the removal of ended sessions removes")
    case .staleUsers: Row("entries", 64, least: 0, "entries of the pool's queue for users who are not free")
    case .joinedDemands: Row("demands", 64, "demands of one supervisor, of which the last one grows")
    // The Customer Server.
    case .transcriptPage: Row("bytes", 512 << 10, "one page of a transcript, unless its first message has more")
    case .transcriptRows: Row("rows", 8, "rows of a transcript that are read at once")
    case .erasedRows: Row("rows", 1000, "rows of a transcript that one transaction removes")
    }
  }

  /// The limit where nothing else is configured.
  public var standard: Int { row.standard }
}

/// The work limits of a node: the standard ones, but for those that its configuration changes.
public struct WorkLimits: Sendable {
  /// By the limit's place in the table; empty if all are standard.
  private var values: [Int] = []

  /// The standard limits.
  public init() {}

  /// The value of a limit. A value below the least one counts as the least.
  public subscript(limit: WorkLimit) -> Int {
    get { values.isEmpty ? limit.standard : values[limit.place] }
    set {
      if values.isEmpty { values = WorkLimit.allCases.map(\.standard) }
      values[limit.place] = max(newValue, limit.row.least)
    }
  }
}

extension WorkLimit {
  fileprivate var place: Int { Self.allCases.firstIndex(of: self)! }
}
