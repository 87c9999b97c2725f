import System

/// The work of one statement, or of a check or trigger that it causes. It runs in steps, so that a
/// step that has to wait can be repeated.
final class Frame {
  enum Work {
    case statement(PreparedStatement)
    /// A check that the parent of a new row exists.
    case reference(ForeignKey, child: String, key: [StoredValue])
    /// The deletion of the children of a deleted row, or the check that there are none.
    case children(ForeignKey, child: String, key: [StoredValue])
    case trigger([TriggerStep])
  }

  /// A row that the statement changes, and its new values.
  struct Target {
    var row: Int64
    var cells: [StoredValue]
  }

  /// What happened to a row, for checks and triggers at the end of the statement.
  struct Event {
    var change: RowChange
    /// The columns that an UPDATE sets.
    var columns: [Int]
  }

  var work: Work
  /// The values of the parameters of its statements.
  var parameters: [StoredValue]
  /// The rows `old` and `new` and the operation that fired a trigger.
  var fired: (old: [StoredValue]?, new: [StoredValue]?, operation: String)?
  var snapshot = 0
  var isStarted = false
  var targets: [Target] = []
  var next = 0
  /// The row that an INSERT builds, so that its identity is drawn once.
  var built: [StoredValue]?
  var rows: [[StoredValue]] = []
  var count = 0
  var events: [Event] = []
  var nextEvent = 0
  /// The checks and triggers of the event in hand that have not run.
  var frames: [Frame] = []
  /// The frame that gets the events; itself but for checks.
  let owner: Frame?
  /// The rows that this statement has inserted or updated.
  var touched: Set<RowKey> = []
  var limit: Int?
  var offset = 0

  init(_ work: Work, parameters: [StoredValue] = [], owner: Frame? = nil) {
    self.work = work
    self.parameters = parameters
    self.owner = owner
  }
}

/// A statement of a session that runs or waits.
final class Execution {
  let session: Int
  let statement: PreparedStatement
  /// The text, which is kept if the statement changes the catalog.
  let text: [UInt8]
  /// From the statement itself to the innermost check or trigger.
  var stack: [Frame]
  var clock: Int64
  var wait: StatementWait?
  /// The number of its first wait among all waits of the server, and the number of the one in hand.
  var waitNumber = 0
  var currentWait = 0
  /// The number of table locks that it has.
  var locked = 0

  init(_ session: Int, _ statement: PreparedStatement, _ parameters: [StoredValue], text: [UInt8], clock: Int64) {
    self.session = session
    self.text = text
    self.statement = statement
    self.clock = clock
    stack = [Frame(.statement(statement), parameters: parameters)]
  }
}
