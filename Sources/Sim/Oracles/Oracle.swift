/// A promise that was broken: which oracle noticed, what was promised, and the events that break it.
public struct Violation: Sendable, CustomStringConvertible {
  /// The oracle's name.
  public let oracle: String
  /// What was promised.
  public let promise: String
  /// What happened instead, in order.
  public let events: [String]

  /// The promise and the events, one a line.
  public var description: String { "\(oracle): \(promise)" + events.map { "\n    " + $0 }.joined() }

  /// A process that died in a run, at a virtual time, with what it said.
  public static func death(at time: Int64, saying lines: [String]) -> Violation {
    Violation(
      oracle: Trap.oracle, promise: "no run kills its process",
      events: ["\(ChatOracles.seconds(time)) the process dies"] + Trap.report(lines))
  }

  /// Oracles whose promises are broken at a moment: nothing that comes later mends it, and nobody has to wait for it. Others are about
  /// what is so in the end.
  static let immediate: Set = [
    "accepted-once", "dead-token", "linearizable-accounts", "linearizable-sessions", "no-trap", "no-unexplained-5xx",
    "one-order", "private", "refresh-once", "relayed", "session-ended", "socket-order", "stored-once", "transcript",
    "unique", "unwinds", "worked-in-order",
  ]
}

/// What a run left behind for the oracles to judge.
struct Evidence {
  let operations: [Operation]
  /// Virtual times at which a fault could make the service answer 503, in order.
  let troubles: [Int64]
  /// Nodes that are not serving in the end, and what they wait for.
  let stuck: [String]
  let defects: [String]
}

/// The oracles over accounts and sessions, each with its promise.
enum AccountOracles {
  static func judge(_ evidence: Evidence) -> [Violation] {
    let operations = evidence.operations.filter { !$0.answer.isTurnedAway }
    return live(evidence) + unexplained(evidence) + unique(operations) + refreshOnce(operations) + dead(operations)
      + durable(operations) + linearizableAccounts(operations) + linearizableSessions(operations)
  }

  // MARK: Liveness and health

  static func live(_ evidence: Evidence) -> [Violation] {
    var violations: [Violation] = []
    if !evidence.defects.isEmpty {
      violations.append(Violation(oracle: "unwinds", promise: "a dead node's tasks end", events: evidence.defects))
    }
    if !evidence.stuck.isEmpty {
      violations.append(
        Violation(
          oracle: "live", promise: "once faults stop, every node is up and everybody is served", events: evidence.stuck)
      )
    }
    return violations
  }

  /// Time for which a fault explains a 503: an answer may be under way when it strikes, and a database has to open again.
  private static let aftermath: Int64 = 2_000_000_000

  static func unexplained(_ evidence: Evidence) -> [Violation] {
    for operation in evidence.operations {
      guard let status = operation.answer.status, status >= 500 else { continue }
      let isExplained =
        status == 503
        && evidence.troubles.contains { $0 >= operation.invokedAt - aftermath && $0 <= operation.answeredAt }
      if !isExplained {
        return [
          Violation(
            oracle: "no-unexplained-5xx", promise: "no 5xx without a fault that explains it", events: ["\(operation)"])
        ]
      }
    }
    return []
  }

  // MARK: Uniqueness

  static func unique(_ operations: [Operation]) -> [Violation] {
    var names: [String: [Operation]] = [:]
    var deletions: [String: Int] = [:]
    var sessions: [String: [Operation]] = [:]
    var endings: [String: Int] = [:]
    var endsByUser = 0
    for operation in operations where operation.answer.isSuccess || operation.answer.isUnknown {
      let isDone = operation.answer.isSuccess
      switch operation.request {
      case .register(_, let username, _) where isDone: names[username.lowercased(), default: []].append(operation)
      case .deleteUser(let token):
        deletions[token.account, default: 0] += 1
        endsByUser += 1
      case .addSession(let session, _) where isDone: sessions[session, default: []].append(operation)
      case .deleteSession(let session, _): endings[session, default: 0] += 1
      default: break
      }
    }
    for name in names.keys.sorted() where names[name]!.count > 1 + deletions[name, default: 0] {
      return [
        Violation(
          oracle: "unique", promise: "a username is unique without regard to case",
          events: names[name]!.map(\.description))
      ]
    }
    for session in sessions.keys.sorted()
    where sessions[session]!.count > 1 + endings[session, default: 0] + endsByUser {
      return [
        Violation(
          oracle: "unique", promise: "a session id is unique across users",
          events: sessions[session]!.map(\.description))
      ]
    }
    return []
  }

  // MARK: Tokens

  static func refreshOnce(_ operations: [Operation]) -> [Violation] {
    var uses: [String: [Operation]] = [:]
    for operation in operations {
      guard case .refresh(let token) = operation.request, operation.answer.isSuccess else { continue }
      uses[token.id, default: []].append(operation)
    }
    for id in uses.keys.sorted() where uses[id]!.count > 1 {
      return [
        Violation(
          oracle: "refresh-once", promise: "a refresh token works once", events: uses[id]!.map(\.description))
      ]
    }
    return []
  }

  /// Tokens die by their time, by their user's deletion, and by the reuse of a refresh token of their login.
  static func dead(_ operations: [Operation]) -> [Violation] {
    var firstUse: [String: Operation] = [:]
    var revoked: [String: Operation] = [:]
    var deleted: [String: Operation] = [:]
    let byAnswer = operations.sorted { $0.answered < $1.answered }
    for operation in byAnswer {
      switch operation.request {
      case .refresh(let token):
        if operation.answer.isSuccess {
          if firstUse[token.id] == nil { firstUse[token.id] = operation }
        } else if operation.answer.status == 401, let first = firstUse[token.id], first.answered < operation.invoked,
          revoked[token.family] == nil
        {
          revoked[token.family] = operation
        }
      case .deleteUser(let token) where operation.answer.isSuccess: deleted[token.subject] = operation
      default: break
      }
    }
    for operation in operations where operation.answer.isSuccess {
      guard let token = operation.request.token else { continue }
      func violation(_ why: String, _ cause: [Operation]) -> [Violation] {
        [
          Violation(
            oracle: "dead-token", promise: "no request with a dead token succeeds (\(why))",
            events: (cause + [operation]).map(\.description))
        ]
      }
      if token.expires <= min(operation.wallAtInvocation, operation.wallAtAnswer) {
        return violation("it had expired", [])
      }
      if let cause = revoked[token.family], cause.answered < operation.invoked {
        return violation("its login was revoked", [cause])
      }
      if let cause = deleted[token.subject], cause.answered < operation.invoked {
        return violation("its user was deleted", [cause])
      }
    }
    return []
  }
}
