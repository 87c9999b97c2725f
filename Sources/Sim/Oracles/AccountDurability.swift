/// The oracle over writes that were acknowledged.
extension AccountOracles {
  /// A write that was acknowledged and never undone is there at the last look.
  static func durable(_ evidence: AccountEvidence) -> [Breach] {
    let operations = evidence.considered
    var undone: Set<String> = []
    for operation in operations {
      switch operation.request {
      case .deleteSession(let session, _): undone.insert("session " + session)
      case .deleteUser(let token): undone.insert("user " + token.account)
      // `linearizable-accounts` and `linearizable-sessions` judge what operators have changed.
      case .operate(let operated): undone.insert("user " + operated.account)
      default: break
      }
    }
    var lastList: [String: Operation] = [:]
    var lastLogin: [String: Operation] = [:]
    for operation in operations {
      switch operation.request {
      case .getSessions(let token) where operation.answer.isSuccess: lastList[token.subject] = operation
      case .login(let user, let password, _) where !operation.answer.isUnknown:
        lastLogin[user.lowercased() + "\n" + password] = operation
      default: break
      }
    }
    for operation in operations where operation.answer.isSuccess {
      switch operation.request {
      case .addSession(let session, let token)
      where !undone.contains("session " + session) && !undone.contains("user " + token.account):
        guard let look = lastList[token.subject], look.invoked > operation.answered,
          case .sessions(let list) = look.answer,
          !list.contains(session)
        else { continue }
        return [Breach([operation, look].map(\.description))]
      case .register(_, let username, let password) where !undone.contains("user " + username.lowercased()):
        guard let look = lastLogin[username.lowercased() + "\n" + password], look.invoked > operation.answered,
          look.answer.status == 401
        else { continue }
        return [Breach([operation, look].map(\.description))]
      default: continue
      }
    }
    return []
  }
}
