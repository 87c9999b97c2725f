import Glibc

/// What one step did: the outcomes of the sessions that ended, and whom the others wait for.
struct Effect: Equatable {
  var ended: [Int: Outcome] = [:]
  var blockers: [Int: Set<Int>] = [:]

  var lines: String {
    let outcomes = ended.sorted { $0.key < $1.key }.map { "    session \($0.key): \($0.value)" }
    let waits = blockers.sorted { $0.key < $1.key }.map { "    session \($0.key) waits for \($0.value.sorted())" }
    return (outcomes + waits).joined(separator: "\n")
  }
}

extension Effect {
  var hasSerializationFailure: Bool { ended.values.contains { $0.failure == "40001" } }
}

extension Recording {
  var isSerializable: Bool { steps.contains { $0.step.sql.contains("SERIALIZABLE") } }
  var hasSerializationFailure: Bool { steps.contains { $0.effect.hasSerializationFailure } }
}

/// The real server with its sessions.
final class RealServer {
  static let tables = [
    "users", "user_sessions", "used_refresh_tokens", "session_events", "chat_groups", "memberships", "contacts",
    "connections", "messages", "positions",
  ]
  private let sessions: [RealConnection]
  private let control: RealConnection

  init(path: String, user: String, sessions: Int, schema: String) throws {
    control = try RealConnection(path: path, user: user, database: "postgres")
    let isNew = try control.run("SELECT 1 FROM pg_tables WHERE tablename = 'users'").rows.isEmpty
    if isNew {
      let outcome = try control.runSimply(schema)
      guard outcome.failure == nil else { fatalError("the schema failed: \(outcome)") }
    }
    self.sessions = try (0..<sessions).map { _ in
      try RealConnection(path: path, user: user, database: "postgres")
    }
  }

  func reset() throws {
    _ = try control.run("TRUNCATE \(Self.tables.joined(separator: ", ")) RESTART IDENTITY")
    _ = try control.run("INSERT INTO positions VALUES (0, 0), (1, 0)")
    for session in sessions {
      _ = try session.run("UNLISTEN *")
      session.heard = []
    }
  }

  /// The notifications that each session was sent. No statement is running.
  func heard() throws -> [Int: [String]] {
    // A server process is told of them by a signal.
    usleep(5000)
    var heard: [Int: [String]] = [:]
    for (index, session) in sessions.enumerated() {
      _ = try session.run("SELECT 1")
      for notification in session.heard {
        let sender = sessions.firstIndex { $0.process == Int32(truncatingIfNeeded: notification.sender) }!
        heard[index, default: []].append(notification.described(by: sender))
      }
    }
    return heard
  }

  func isWaiting(_ session: Int) -> Bool { sessions[session].isBusy }

  /// Runs one step to the point where every session has its answer or waits for another.
  func run(_ step: Step) throws -> Effect {
    sessions[step.session].start(step.sql, step.parameters)
    var effect = Effect()
    var last: [Int: Set<Int>]?
    while true {
      for (index, session) in sessions.enumerated() where session.isBusy {
        if let outcome = try session.outcome(wait: index == step.session ? 2 : 0) { effect.ended[index] = outcome }
      }
      let blockers = try waits()
      if blockers.values.allSatisfy({ !$0.isEmpty }), !Self.hasCycle(blockers) {
        if blockers.isEmpty || blockers == last {
          effect.blockers = blockers
          return effect
        }
        // A wait is quiet after the time in which deadlocks are found.
        last = blockers
        usleep(20000)
      } else {
        last = nil
      }
    }
  }

  private static func hasCycle(_ blockers: [Int: Set<Int>]) -> Bool {
    blockers.keys.contains { start in
      var pending = Array(blockers[start]!)
      var seen: Set<Int> = []
      while let next = pending.popLast() {
        if next == start { return true }
        if seen.insert(next).inserted { pending += blockers[next] ?? [] }
      }
      return false
    }
  }

  private func waits() throws -> [Int: Set<Int>] {
    let busy = sessions.indices.filter { sessions[$0].isBusy }
    guard !busy.isEmpty else { return [:] }
    let list = busy.map { "array_to_string(pg_blocking_pids(\(sessions[$0].process)), ' ')" }.joined(separator: ", ")
    let row = try control.run("SELECT \(list)").rows[0]
    var result: [Int: Set<Int>] = [:]
    for (session, text) in zip(busy, row) {
      let processes = text!.split(separator: " ").compactMap { Int32($0) }
      result[session] = Set(processes.compactMap { process in sessions.firstIndex { $0.process == process } })
    }
    return result
  }

  /// The rows of all tables.
  func contents() throws -> [String: Outcome] {
    var contents: [String: Outcome] = [:]
    for table in Self.tables { contents[table] = try control.run("SELECT * FROM \(table)").sorted() }
    return contents
  }
}

/// The run of a schedule on the real server.
struct Recording {
  var steps: [(step: Step, effect: Effect)] = []
  var contents: [String: Outcome] = [:]
  /// The notifications that each session was sent.
  var heard: [Int: [String]] = [:]
}

extension Notification {
  func described(by session: Int) -> String { "session \(session) on \(channel): \(payload)" }
}

func record(_ schedule: [Step], on real: RealServer) throws -> Recording {
  try real.reset()
  var recording = Recording()
  var open: Set<Int> = []
  func run(_ step: Step) throws {
    let effect = try real.run(step)
    recording.steps.append((step, effect))
    for (session, outcome) in effect.ended {
      if outcome.state == "I" { open.remove(session) } else { open.insert(session) }
    }
  }
  for step in schedule where !real.isWaiting(step.session) { try run(step) }
  // All transactions end.
  while true {
    let rest = (0..<3).filter { open.contains($0) && !real.isWaiting($0) }
    guard let next = rest.first else { break }
    try run(Step(session: next, sql: "COMMIT", parameters: []))
  }
  if schedule.contains(where: { $0.sql.contains("LISTEN") }) { recording.heard = try real.heard() }
  recording.contents = try real.contents()
  return recording
}

/// Compares a recording with the simulated server for every order in which waiting sessions may go
/// on. Returns nil if one of them fits, or the best attempt's difference.
func difference(_ recording: Recording, schema: String) throws -> String? {
  var prefix: [Int] = []
  var best = (step: -1, text: "")
  for _ in 0..<200 {
    var made: [(chosen: Int, count: Int)] = []
    let choose = { (count: Int) -> Int in
      let chosen = made.count < prefix.count ? prefix[made.count] : 0
      made.append((chosen, count))
      return chosen
    }
    guard let found = try attempt(recording, schema, choose) else { return nil }
    if found.step > best.step { best = found }
    while let last = made.last, last.chosen + 1 >= last.count { made.removeLast() }
    guard let last = made.popLast() else { break }
    prefix = made.map(\.chosen) + [last.chosen + 1]
  }
  return best.text
}

private func attempt(
  _ recording: Recording, _ schema: String, _ choose: (Int) -> Int
) throws -> (step: Int, text: String)? {
  let simulated = try SimulatedServer(schema: schema, sessions: 3)
  for (number, (step, real)) in recording.steps.enumerated() {
    var effect = Effect()
    effect.ended = try simulated.run(step.session, step.sql, step.parameters, choose)
    for session in 0..<3 where simulated.isWaiting(session) { effect.blockers[session] = simulated.blockers(session) }
    var expected = real
    for session in expected.ended.keys {
      // The order of rows is unspecified without ORDER BY.
      let sql = recording.steps[...number].last { $0.step.session == session }!.step.sql
      guard !sql.contains("ORDER BY") else { continue }
      expected.ended[session] = expected.ended[session]!.sorted()
      effect.ended[session] = effect.ended[session]?.sorted()
    }
    if recording.isSerializable, effect.hasSerializationFailure || expected.hasSerializationFailure {
      // PostgreSQL notes reads of pages and of whole tables, so it may refuse more, and elsewhere.
      if effect != expected {
        return recording.hasSerializationFailure
          ? nil : (number, "step \(number): \(step) is refused:\n\(effect.lines)")
      }
    }
    if effect != expected {
      return (number, "step \(number): \(step)\n  PostgreSQL:\n\(real.lines)\n  simulated:\n\(effect.lines)")
    }
  }
  if simulated.heard != recording.heard {
    return (recording.steps.count, "notifications:\n  \(recording.heard)\n  \(simulated.heard)")
  }
  for table in RealServer.tables {
    let rows = try simulated.run(0, "SELECT * FROM \(table)", [], choose)[0]!.sorted()
    let real = recording.contents[table]!
    if rows.rows != real.rows { return (recording.steps.count, "table \(table):\n  \(real)\n  \(rows)") }
  }
  return nil
}
