/// Everything that the oracles may judge a run by.
struct Evidence {
  var accounts = AccountEvidence([])
  var chat = ChatEvidence(ChatHistory { 0 })
  var sessions = SessionHistory { 0 }
  var run = RunEvidence()
  var attack = AttackEvidence()
  var callers = CallerEvidence(CallerHistory { 0 })
  var contract = ContractEvidence()
  var shapes = ShapeEvidence()
  var told = ToldEvidence()
}

/// How a run ended.
struct RunEvidence {
  /// The users that were not served, the services that are down, and what every task waits for.
  var stuck: [String] = []
  /// Tasks that did not end when their node died.
  var defects: [String] = []
  /// What services hold at rest that they would not hold after a restart.
  var leftovers: [String] = []
  /// The faults of the services' databases.
  var unsound: [String] = []
  /// What clients saw in one run of a pair, and not in the other.
  var differences: [Breach] = []
  /// The statements that the simulated PostgreSQL does not know.
  var unknownStatements: [String] = []
}

/// The requests to the User Service.
struct AccountEvidence {
  let operations: [Operation]
  /// Virtual times at which a fault could make the service answer 503, in order.
  let troubles: [Int64]
  /// Virtual times in which a fault may explain that the service's PostgreSQL cannot be used.
  let outages: [ClosedRange<Int64>]
  /// The operations that the service considered. Those that it turned away say nothing of its
  /// state.
  let considered: [Operation]

  init(_ operations: [Operation], troubles: [Int64] = [], outages: [ClosedRange<Int64>] = []) {
    self.operations = operations
    self.troubles = troubles
    self.outages = outages
    considered = operations.filter { !$0.answer.isTurnedAway }
  }
}

/// What attackers saw, and what the services hold when they have gone.
struct AttackEvidence {
  /// Answers that no client may cause.
  var blunders: [String] = []
  /// Bytes that each service still holds for clients that have not logged in.
  var held: [(node: String, bytes: Int)] = []
}
