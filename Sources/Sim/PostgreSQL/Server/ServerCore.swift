import Environment
import System

/// The engine with its sessions. It is used in the disk lane, one piece of work at a time.
final class ServerCore: @unchecked Sendable {
  enum Input: Sendable {
    case open(Int, key: [UInt8], settings: ServerSettings, greeting: [UInt8])
    case messages(Int, [PostgresFrontendMessage])
    case close(Int)
    /// The time after which a wait is examined has passed.
    case examine(Int, wait: Int)
    /// A time-out of a statement.
    case expire(Int, wait: Int, code: String, message: String)
    case endIdle(Int, activity: Int)
    case cancel(process: Int, key: [UInt8])
  }

  /// A timer that the server has to set.
  struct Timer: Sendable {
    var after: Duration
    var input: Input
  }

  /// What the inputs caused.
  struct Effects: Sendable {
    var output: [(session: Int, bytes: [UInt8], ends: Bool)] = []
    var timers: [Timer] = []
    var commits = 0
    /// Statements that the simulated server does not know.
    var unknown: [String] = []
  }

  private let engine: DatabaseEngine
  private let faults: PostgreSQLFaults
  private let deadlockTimeout: Duration
  /// The sessions in order of their start, with their numbers among the connections.
  private var sessions: [(connection: Int, session: ServerSession)] = []
  private let random: RandomSource
  private var reported = 0
  /// The waits and the idle sessions that have timers.
  private var timed: Set<Int> = []
  private var timedStatements: Set<Int> = []
  private var timedIdle: [Int: Int] = [:]

  init(_ environment: Environment, _ options: PostgreSQLOptions) throws(DatabaseError) {
    let database = try StatementDatabase(environment.storage, path: "postgresql.db")
    do {
      engine = try DatabaseEngine(database)
    } catch let error as DatabaseError {
      throw error
    } catch {
      throw .corrupt("the catalog cannot be read: \(error)")
    }
    faults = options.faults
    deadlockTimeout = options.deadlockTimeout
    random = RandomSource(environment.entropy)
    engine.choose = { [random] in random.below($0) }
  }

  /// Handles inputs. `clock` is the time in microseconds since 2000.
  func process(_ inputs: [Input], clock: Int64) throws -> Effects {
    engine.isReadOnly = faults.isReadOnly
    var effects = Effects()
    let commits = engine.store.lastCommit
    for input in inputs {
      try take(input, clock)
      try settle()
    }
    while let (connection, session) = sessions.first(where: { $0.session.hasEnded }) {
      effects.output.append((connection, session.output, true))
      try close(connection, session)
      // Others may have waited for it.
      try settle()
    }
    deliver()
    for (connection, session) in sessions where !session.output.isEmpty {
      effects.output.append((connection, session.output, false))
      session.output = []
    }
    effects.timers = timers()
    effects.commits = engine.store.lastCommit - commits
    effects.unknown = Array(engine.unknown.dropFirst(reported))
    reported = engine.unknown.count
    return effects
  }

  private func find(_ connection: Int) -> ServerSession? { sessions.first { $0.connection == connection }?.session }

  private func take(_ input: Input, _ clock: Int64) throws {
    for (_, session) in sessions { session.clock = clock }
    switch input {
    case .open(let connection, let key, let settings, let greeting):
      let session = ServerSession(engine.open(), key: key, engine: engine)
      session.settings = settings
      session.surprise = { [unowned self] in surprise() }
      session.loss = { [unowned self] in loss() }
      session.output = greeting
      session.send(.backendKey(process: Int32(session.id), key: key))
      session.ready()
      sessions.append((connection, session))
    case .messages(let connection, let messages): try find(connection)?.receive(messages)
    case .close(let connection): if let session = find(connection) { try close(connection, session) }
    case .examine(let id, let wait):
      guard isWaiting(id, wait), engine.isDeadlocked(id) else { return }
      try interrupt(id, ServerError("40P01", "deadlock detected"))
    case .expire(let id, let wait, let code, let message):
      guard isWaiting(id, wait) else { return }
      try interrupt(id, ServerError(code, message))
    case .endIdle(let id, let activity):
      guard let session = sessions.first(where: { $0.session.id == id })?.session, session.activity == activity,
        session.isIdleInTransaction
      else { return }
      session.end("25P03", "terminating connection due to idle-in-transaction timeout")
    case .cancel(let process, let key):
      guard let session = sessions.first(where: { $0.session.id == process })?.session,
        Cryptography.constantTimeEqual(session.key, key)
      else { return }
      try interrupt(process, ServerError("57014", "canceling statement due to user request"))
    }
  }

  private func isWaiting(_ id: Int, _ wait: Int) -> Bool {
    engine.waiting.contains { $0.session == id && ($0.currentWait == wait || $0.waitNumber == wait) }
  }

  private func interrupt(_ id: Int, _ error: ServerError) throws {
    guard let result = try engine.interrupt(id, error) else { return }
    try sessions.first { $0.session.id == id }?.session.resume(result)
  }

  private func close(_ connection: Int, _ session: ServerSession) throws {
    sessions.removeAll { $0.connection == connection }
    timedIdle[session.id] = nil
    try engine.close(session.id)
  }

  private func settle() throws {
    while let (id, result) = try engine.settle() {
      try sessions.first { $0.session.id == id }?.session.resume(result)
    }
  }

  private func deliver() {
    for (id, sender, channel, payload) in engine.delivered {
      sessions.first { $0.session.id == id }?.session.notify(from: sender, channel, payload)
    }
    engine.delivered = []
  }

  private func surprise() -> ServerError? {
    let cases = [
      (faults.serializationFailures, ServerError("40001", "could not serialize access")),
      (faults.deadlocks, ServerError("40P01", "deadlock detected")),
      (faults.timeouts, ServerError("57014", "canceling statement due to statement timeout")),
    ]
    for (chance, error) in cases where chance > 0 && random.below(10_000) < chance {
      faults.struck += 1
      return error
    }
    return nil
  }

  private func loss() -> ServerSession.Loss? {
    guard faults.lostCommits > 0, random.below(10_000) < faults.lostCommits else { return nil }
    faults.struck += 1
    return random.below(2) == 0 ? .beforeCommit : .afterCommit
  }

  /// The timers for waits and idle sessions that are new.
  private func timers() -> [Timer] {
    var timers: [Timer] = []
    let waits = engine.waiting
    timed.formIntersection(waits.map(\.currentWait))
    timedStatements.formIntersection(waits.map(\.waitNumber))
    for wait in waits {
      let settings = sessions.first { $0.session.id == wait.session }!.session.settings
      if timed.insert(wait.currentWait).inserted {
        timers.append(Timer(after: deadlockTimeout, input: .examine(wait.session, wait: wait.currentWait)))
        if let limit = settings.timeout("lock_timeout") {
          let input = Input.expire(
            wait.session, wait: wait.currentWait, code: "55P03", message: "canceling statement due to lock timeout")
          timers.append(Timer(after: .milliseconds(limit), input: input))
        }
      }
      if timedStatements.insert(wait.waitNumber).inserted, let limit = settings.timeout("statement_timeout") {
        let input = Input.expire(
          wait.session, wait: wait.waitNumber, code: "57014", message: "canceling statement due to statement timeout")
        timers.append(Timer(after: .milliseconds(limit), input: input))
      }
    }
    for (_, session) in sessions where session.isIdleInTransaction && timedIdle[session.id] != session.activity {
      guard let limit = session.settings.timeout("idle_in_transaction_session_timeout") else { continue }
      timedIdle[session.id] = session.activity
      timers.append(Timer(after: .milliseconds(limit), input: .endIdle(session.id, activity: session.activity)))
    }
    return timers
  }
}

/// Numbers from the entropy of a node.
final class RandomSource: @unchecked Sendable {
  private let entropy: any Entropy
  init(_ entropy: any Entropy) { self.entropy = entropy }
  func below(_ count: Int) -> Int { Int(entropy.below(UInt64(count))) }
}
