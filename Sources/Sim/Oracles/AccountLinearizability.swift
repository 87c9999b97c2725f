import Simulation

/// The oracles over whole histories of accounts and of sessions.
extension AccountOracles {
  static func linearizableAccounts(_ evidence: AccountEvidence) -> [Breach] {
    let operations = evidence.considered
    // A registration with the username of one name and the email of another makes the two one key.
    var groups = Groups()
    for operation in operations {
      if case .register(let email, let username, _) = operation.request {
        groups.join(username.lowercased(), mailName(email))
      }
    }
    var entries: [String: [HistoryEntry<AccountsModel.Input>]] = [:]
    for operation in operations {
      let isUnknown = operation.answer.isUnknown
      let succeeded: Bool? = isUnknown ? nil : operation.answer.isSuccess
      let key: String
      let input: AccountsModel.Input
      switch operation.request {
      case .register(let email, let username, let password):
        key = username.lowercased()
        input = .register(
          email: email.lowercased(), username: username.lowercased(), password: password, succeeded: succeeded)
      case .login(let user, let password, let account):
        if isUnknown { continue }
        key = account
        if case .tokens(let access, _) = operation.answer {
          input = .login(user: user.lowercased(), password: password, subject: access.subject)
        } else {
          input = .login(user: user.lowercased(), password: password, subject: nil)
        }
      case .deleteUser(let token):
        if operation.answer.status == 401 { continue }
        key = token.account
        input = .delete(subject: token.subject, succeeded: succeeded)
      case .operate(let operated) where !operated.isTrial:
        key = operated.account
        input = .operate(
          operated.action, subject: operated.subject, password: operated.password, succeeded: succeeded)
      default: continue
      }
      entries[groups.root(key), default: []].append(entry(operation, input))
    }
    return judge(AccountsModel.self, entries, operations, "accounts")
  }

  private static func mailName(_ email: String) -> String { String(email.lowercased().prefix { $0 != "@" }) }

  static func linearizableSessions(_ evidence: AccountEvidence) -> [Breach] {
    let operations = evidence.considered
    var entries: [String: [HistoryEntry<SessionModel.Input>]] = [:]
    var touchedBy: [String: Set<String>] = [:]
    var firstAdd: [String: Int] = [:]
    for operation in operations {
      let succeeded: Bool? = operation.answer.isUnknown ? nil : operation.answer.isSuccess
      if operation.answer.status == 401 { continue }
      switch operation.request {
      case .addSession(let session, let token):
        entries[session, default: []].append(entry(operation, .add(subject: token.subject, succeeded: succeeded)))
        touchedBy[token.subject, default: []].insert(session)
        firstAdd[session] = min(firstAdd[session] ?? .max, operation.invoked)
      case .deleteSession(let session, let token):
        entries[session, default: []].append(entry(operation, .delete(subject: token.subject, succeeded: succeeded)))
        touchedBy[token.subject, default: []].insert(session)
      default: break
      }
    }
    let settled = settledDeletions(entries)
    for operation in operations {
      switch operation.request {
      case .getSessions(let token):
        guard case .sessions(let list) = operation.answer else { continue }
        for session in touchedBy[token.subject, default: []].union(list).sorted() {
          let holds = list.contains(session)
          // A session that nobody has added yet, or that is deleted for good, is absent in any
          // order.
          if !holds, operation.answered < firstAdd[session] ?? .max || operation.invoked > settled[session] ?? .max {
            continue
          }
          entries[session, default: []].append(entry(operation, .list(subject: token.subject, holds: holds)))
        }
      case .deleteUser(let token):
        if operation.answer.status == 401 { continue }
        let succeeded: Bool? = operation.answer.isUnknown ? nil : operation.answer.isSuccess
        for session in touchedBy[token.subject, default: []].sorted() {
          entries[session, default: []].append(
            entry(operation, .deleteUser(subject: token.subject, succeeded: succeeded)))
        }
      case .operate(let operated) where operated.revokes:
        let succeeded: Bool? = operation.answer.isUnknown ? nil : operation.answer.isSuccess
        for session in touchedBy[operated.subject, default: []].sorted() {
          entries[session, default: []].append(
            entry(operation, .endAll(subject: operated.subject, succeeded: succeeded)))
        }
      default: break
      }
    }
    return judge(SessionModel.self, entries, operations, "sessions")
  }

  /// For each session that was deleted after its last addition: the position of the answer.
  private static func settledDeletions(_ entries: [String: [HistoryEntry<SessionModel.Input>]]) -> [String: Int] {
    entries.compactMapValues { entries in
      var lastAdd = 0
      var deleted: Int?
      for entry in entries {
        if case .add = entry.input { lastAdd = max(lastAdd, entry.answered) }
      }
      for entry in entries {
        if case .delete(_, true) = entry.input, entry.invoked > lastAdd {
          deleted = min(deleted ?? .max, entry.answered)
        }
      }
      return deleted
    }
  }

  private static func entry<Input>(_ operation: Operation, _ input: Input) -> HistoryEntry<Input> {
    HistoryEntry(
      invoked: operation.invoked, answered: operation.answer.isUnknown ? .max : operation.answered, input: input,
      operation: operation.id)
  }

  private static func judge<Model: SequentialModel>(
    _ model: Model.Type, _ entries: [String: [HistoryEntry<Model.Input>]], _ operations: [Operation], _ what: String
  ) -> [Breach] {
    for key in entries.keys.sorted() {
      switch Linearizability<Model>.check(entries[key]!) {
      case .linearizable: continue
      case .undecided:
        return [
          Breach(
            "the history of \(key) can be checked",
            ["too many operations overlap; make the scenario smaller"])
        ]
      case .violated(let id):
        let byID = Dictionary(uniqueKeysWithValues: operations.map { ($0.id, $0) })
        let culprit = byID[id]!
        let story = entries[key]!.map { byID[$0.operation]! }.filter { $0.id <= id || $0.answered < culprit.answered }
        return [
          Breach(
            "\(what) behave as if each request took effect at one instant (\(key))",
            story.sorted { $0.id < $1.id }.suffix(12).map(\.description) + [
              "no order of these requests explains \(culprit)"
            ])
        ]
      }
    }
    return []
  }

  /// Names that are judged together, as a union–find structure.
  private struct Groups {
    private var parent: [String: String] = [:]

    mutating func root(_ name: String) -> String {
      var current = name
      while let next = parent[current], next != current { current = next }
      return current
    }

    mutating func join(_ a: String, _ b: String) {
      let (x, y) = (root(a), root(b))
      if x != y { parent[max(x, y)] = min(x, y) }
    }
  }
}
