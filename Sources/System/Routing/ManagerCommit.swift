import Environment

/// One commit of the manager: the rows and effects of a batch of inputs, in one transaction.
struct ManagerCommit: Sendable {
  /// Message ids that are remembered, so that a redelivered message is handled once.
  static let keptHandled: Int64 = 50_000
  /// Commits between two deletions of older message ids.
  private static let trimming: Int64 = 64
  /// More rows than a commit can add to the outbox.
  static let maximumRows: Int64 = 1 << 20
  /// Above it, the positions of the commit's rows overflow.
  static let maximumNumber = Int64.max / maximumRows - 1

  /// One more than the number of the commit before.
  let number: Int64
  /// When its inputs are applied.
  let time: Timestamp
  var effects: [ManagerEffect] = []
  var users: [(UserID, UserPool.User)] = []
  /// Demands by id; nil for one that is met.
  var demands: [(UserPool.DemandID, UserPool.Demand?)] = []
  var sessions: [ManagedSession] = []
  var nextSession: Int64 = 1
  var handled: [String] = []
  /// The limits of a pass that removes ended sessions.
  var limits = WorkLimits()

  init(number: Int64, at time: Timestamp) {
    self.number = number
    self.time = time
  }

  /// Takes what has changed in the state since the commit before.
  mutating func takeChanges(of state: inout ManagerState) {
    (users, demands) = state.pool.takeChanges()
    sessions = state.takeChangedSessions()
    nextSession = state.nextSession
  }

  /// Whether there is nothing to store: heartbeats and redelivered messages change nothing.
  var isEmpty: Bool { effects.isEmpty && users.isEmpty && demands.isEmpty && sessions.isEmpty && handled.isEmpty }

  /// Stores the commit, once: a commit that seemed to fail may be in the database.
  ///
  /// - Parameters:
  ///   - published: The rows of the outbox up to this position are deleted.
  ///   - missedAfter: With it, the outcome has every row of the outbox after this position, also
  ///     those of earlier commits.
  func run(
    on tables: ManagerTables, deleting published: Int64?, missedAfter: Int64?
  ) async throws(DatabaseError) -> ManagerOutcome {
    if let published { try await tables.outbox.delete(through: published) }
    var outcome = ManagerOutcome()
    if try await tables.begin(number) {
      try await writeRows(tables)
      var writer = EffectWriter(tables, commit: number, at: time, limits)
      for effect in effects { try await writer.perform(effect) }
      outcome = writer.outcome
    }
    if let missedAfter { outcome.outbox = try await tables.outbox.rows(after: missedAfter) }
    return outcome
  }

  private func writeRows(_ tables: ManagerTables) async throws(DatabaseError) {
    for (id, user) in users { try await tables.put(user, id) }
    for (id, demand) in demands {
      if let demand { try await tables.put(demand) } else { try await tables.deleteDemand(id) }
    }
    for session in sessions { try await tables.put(session, at: time) }
    if !sessions.isEmpty { try await tables.setNextSession(nextSession) }
    for id in handled { try await tables.addHandled(id) }
    if !handled.isEmpty, number % Self.trimming == 0 { try await tables.trimHandled(to: Self.keptHandled) }
  }
}

/// The actions that remain once a commit is durable.
struct ManagerOutcome: Sendable {
  /// Rows that were added to the outbox.
  var outbox: [OutboxRow] = []
  var answers: [(caller: PendingAnswers.Caller, value: JSONValue)] = []
  /// Users whose messages were refused, and why.
  var refused: [(user: UserID, reason: String)] = []
  /// What is left for the next pass, if this commit was to remove ended sessions.
  var removal: EndedSessionsTable.Progress?
  /// The ended sessions that it removed.
  var removedSessions = 0
}
