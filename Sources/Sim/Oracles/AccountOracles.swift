/// The oracles over the User Service.
enum AccountOracles {
  static let all = [
    Oracle(
      "no-unexplained-5xx", "a service answers 5xx only because of a fault", .atOnce, over: \.accounts, unexplained),
    Oracle("unique", "usernames, emails and session ids are unique", .atOnce, over: \.accounts, unique),
    Oracle("refresh-once", "a refresh token works once", .atOnce, over: \.accounts, refreshOnce),
    Oracle("dead-token", "a dead token is refused", .atOnce, over: \.accounts, dead),
    Oracle("durable", "every acknowledged write survives", .inTheEnd, over: \.accounts, durable),
    Oracle(
      "linearizable-accounts", "accounts behave as if each request took effect at one instant", .atOnce,
      over: \.accounts, linearizableAccounts),
    Oracle(
      "linearizable-sessions", "sessions behave as if each request took effect at one instant", .atOnce,
      over: \.accounts, linearizableSessions),
  ]

  /// A fault explains a 503 for this long: an answer may be under way when it strikes, and the
  /// database has to be opened again.
  private static let aftermath: Int64 = 2_000_000_000

  static func unexplained(_ evidence: AccountEvidence) -> [Breach] {
    for operation in evidence.operations {
      guard let status = operation.answer.status, status >= 500 else { continue }
      let isExplained =
        status == 503
        && (evidence.troubles.contains { $0 >= operation.invokedAt - aftermath && $0 <= operation.answeredAt }
          || evidence.outages.contains { $0.overlaps(operation.invokedAt...operation.answeredAt) })
      if !isExplained {
        return [Breach(["\(operation)"])]
      }
    }
    return []
  }

  static func unique(_ evidence: AccountEvidence) -> [Breach] {
    let operations = evidence.considered
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
      case .operate(let operated) where operated.revokes: endsByUser += 1
      case .addSession(let session, _) where isDone: sessions[session, default: []].append(operation)
      case .deleteSession(let session, _): endings[session, default: 0] += 1
      default: break
      }
    }
    for name in names.keys.sorted() where names[name]!.count > 1 + deletions[name, default: 0] {
      return [Breach("a username is unique without regard to case", names[name]!.map(\.description))]
    }
    for session in sessions.keys.sorted()
    where sessions[session]!.count > 1 + endings[session, default: 0] + endsByUser {
      return [Breach("a session id is unique among all users", sessions[session]!.map(\.description))]
    }
    return []
  }

  static func refreshOnce(_ evidence: AccountEvidence) -> [Breach] {
    let operations = evidence.considered
    var uses: [String: [Operation]] = [:]
    for operation in operations {
      guard case .refresh(let token) = operation.request, operation.answer.isSuccess else { continue }
      uses[token.id, default: []].append(operation)
    }
    for id in uses.keys.sorted() where uses[id]!.count > 1 {
      return [Breach(uses[id]!.map(\.description))]
    }
    return []
  }

  /// A token is dead when it has expired, when its user was deleted, when a refresh token of its
  /// login was used twice, and when an operator has ended the logins of its user since.
  static func dead(_ evidence: AccountEvidence) -> [Breach] {
    let operations = evidence.considered
    var firstUse: [String: Operation] = [:]
    var revoked: [String: Operation] = [:]
    var deleted: [String: Operation] = [:]
    /// The answer of each login.
    var begun: [String: Int] = [:]
    /// Of each user, the requests that ended all logins.
    var ended: [String: [Operation]] = [:]
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
      case .login:
        if case .tokens(let access, _) = operation.answer { begun[access.family] = operation.answered }
      case .operate(let operated) where operated.revokes && operation.answer.isSuccess:
        ended[operated.subject, default: []].append(operation)
      default: break
      }
    }
    for operation in operations where operation.answer.isSuccess {
      guard let token = operation.request.token else { continue }
      func breach(_ why: String, _ cause: [Operation]) -> [Breach] {
        [Breach("a dead token is refused (\(why))", (cause + [operation]).map(\.description))]
      }
      if token.expires <= min(operation.wallAtInvocation, operation.wallAtAnswer) {
        return breach("it had expired", [])
      }
      if let cause = revoked[token.family], cause.answered < operation.invoked {
        return breach("its login was revoked", [cause])
      }
      if let cause = deleted[token.subject], cause.answered < operation.invoked {
        return breach("its user was deleted", [cause])
      }
      if let begin = begun[token.family],
        let cause = ended[token.subject]?.first(where: { $0.invoked > begin && $0.answered < operation.invoked })
      {
        return breach("an operator had ended the logins of its user", [cause])
      }
    }
    return []
  }
}
