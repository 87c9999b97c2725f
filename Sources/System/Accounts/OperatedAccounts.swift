import Environment

/// A change of an account by an operator.
enum AccountOperation: Sendable {
  case disable, enable, revoke, erase
  case setPassword(PasswordHash)
}

/// The endpoints for operators.
extension UserService {
  /// The end of a transaction that was only tried.
  private struct Tried: Error {
    let account: AccountSummary
    let sessionsEnded: Int
  }

  /// Hashes the new password of a request.
  func newPassword(_ call: Call) async throws -> PasswordHash {
    let password: Password
    do throws(Password.Invalid) {
      password = try Password(choosing: call.string("password"))
    } catch {
      throw AccountRefusal.invalid("password: \(error.reason)")
    }
    return try await passwords.hash(password, in: .loginsFromAnywhere)
  }

  /// Changes an account. Doing it again changes nothing more, but for sessions and logins that are
  /// new.
  func operate(_ call: Call, _ operation: AccountOperation) async throws -> Reply {
    let name = call.string("user")
    let isTrial = call.body["dry_run"] == true
    let now = environment.clock.wallTime.rfc3339
    let isOnServer = database.isOnServer
    do {
      let (account, ended) = try await database.transaction { connection in
        let tables = AccountsTables(connection)
        guard let id = try await tables.named(name) else { throw AccountRefusal.noSuchAccount }
        // A user who was locked out may try again.
        if isOnServer { try await LoginFailuresTable(connection, LoginThrottle.Limits()).reset(.init(id: id)) }
        guard var account = try await tables.users.summary(of: id) else { throw AccountRefusal.noSuchAccount }
        let ended = try await Self.apply(operation, to: id, tables, at: now)
        // An erased account is shown as it was.
        if let changed = try await tables.users.summary(of: id) { account = changed }
        if isTrial { throw Tried(account: account, sessionsEnded: ended) }
        return (account, ended)
      }
      throttle.succeeded(account: .init(id: account.id))
      if case .erase = operation { await bell.ring() } else if ended > 0 { await bell.ring() }
      return Self.answer(account, sessionsEnded: ended, isTrial: false)
    } catch let tried as Tried {
      return Self.answer(tried.account, sessionsEnded: tried.sessionsEnded, isTrial: true)
    } catch AccountRefusal.userNotFound {
      // It was deleted between the two statements.
      throw AccountRefusal.noSuchAccount
    }
  }

  /// - Returns: The number of sessions that ended.
  private static func apply(
    _ operation: AccountOperation, to id: AccountID, _ tables: AccountsTables, at now: String
  ) async throws -> Int {
    switch operation {
    case .disable: return try await tables.revoke(id) { try await $0.setDisabled(id, at: now) }
    case .enable:
      try await tables.users.lock(id)
      try await tables.users.setDisabled(id, at: nil)
      return 0
    case .revoke: return try await tables.revoke(id)
    case .erase: return try await tables.deleteUser(id)
    case .setPassword(let hash): return try await tables.revoke(id) { try await $0.setPassword(id, to: hash) }
    }
  }

  private static func answer(_ account: AccountSummary, sessionsEnded: Int, isTrial: Bool) -> Reply {
    .json([
      "user_id": .string(account.id.value), "username": .string(account.username), "email": .string(account.email),
      "disabled": .bool(account.isDisabled), "sessions_ended": .int(Int64(sessionsEnded)), "dry_run": .bool(isTrial),
    ])
  }
}
