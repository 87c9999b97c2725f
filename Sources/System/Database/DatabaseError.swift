/// The reason why a transaction failed.
public enum DatabaseError: Error, Hashable, Sendable {
  /// The disk is full. Nothing of the transaction is kept.
  case full
  /// A page or the log differs from what was written. Nothing is read from it.
  case corrupt(String)
  /// The disk failed or the file is missing. Whether the transaction is durable is unknown until
  /// the next one.
  case failed(String)
  /// Another process has the database open.
  case locked(String)
  /// A newer version of the program wrote this database.
  case newerSchema(found: Int, known: Int)
  /// A UNIQUE, PRIMARY KEY, FOREIGN KEY, NOT NULL or CHECK constraint refused the row.
  case constraint(String)
  /// The server could not bring the transaction into an order with others, repeatedly (SQLSTATE
  /// 40001 and 40P01). Nothing of it is kept.
  case conflict(String)
  /// The server cannot be reached, or does not take transactions now. Nothing of this one is kept.
  case unavailable(String)
  /// The connection to the server ended while it committed, and no server could tell afterwards
  /// whether the transaction is durable.
  case unknownOutcome(String)
  /// Too many transactions wait.
  case overloaded
  /// The database was closed.
  case closed

  /// Whether a later attempt may succeed: the service answers 503.
  public var isUnavailable: Bool { if case .constraint = self { false } else { true } }

  /// The text for the log.
  public var reason: String {
    switch self {
    case .full: "the disk is full"
    case .corrupt(let what): "the database is corrupt: \(what)"
    case .failed(let what): "the disk failed: \(what)"
    case .locked(let path): "\(path) is in use by another process"
    case .newerSchema(let found, let known):
      "the database has schema \(found), and this version knows \(known): use a newer version"
    case .constraint(let what): what
    case .conflict(let what): "the transaction conflicts with others: \(what)"
    case .unavailable(let what): "the database is not available: \(what)"
    case .unknownOutcome(let what): "the transaction may have been committed: \(what)"
    case .overloaded: "too many transactions are waiting"
    case .closed: "the database is closed"
    }
  }
}
