import Environment
import Simulation
import System

/// An operator who disables and enables the accounts of other users, ends their logins, and gives them
/// new passwords.
final class AccountOperator: SimulatedUser {
  let state: UserState
  private let history: AccountHistory
  private var agenda: Agenda<OperatorAction>
  private var passwords = 0

  init(_ state: UserState, history: AccountHistory, agenda: Agenda<OperatorAction>) {
    self.state = state
    self.history = history
    self.agenda = agenda
  }

  func live(_ environment: Environment) async throws {
    let begin = environment.clock.now
    let client = AccountClient(state, history, environment)
    defer { client.close() }
    var disabled: [TokenFacts] = []
    while let wanted = try await agenda.next(since: begin, environment) {
      let isTrial = wanted == .tryOut
      let action = isTrial ? state.stream.pick(OperatorAction.allCases.filter { $0 != .tryOut }) : wanted
      // Most accounts that are enabled were disabled before.
      let users = action == .enable && !disabled.isEmpty && state.stream.chance(0.9) ? disabled : history.subjects
      guard let user = state.stream.pickAny(of: users) else { continue }
      let operation = OperatorRequest(
        action: action, isTrial: isTrial, subject: user.subject, account: user.account,
        password: action == .setPassword ? newPassword(of: user, isTrial: isTrial) : nil, token: history.operatorToken)
      state.lastSeen = "\(action.rawValue) \(user.account)"
      let answer = try await client.sendPersistently(.operate(operation))
      if answer.isSuccess, !isTrial {
        state.tally.count(.accountOperations)
        if action == .disable { disabled.append(user) }
        if action == .enable { disabled.removeAll { $0.subject == user.subject } }
      }
    }
    try await enableAll(disabled, client)
    state.isServed = true
  }

  private func newPassword(of user: TokenFacts, isTrial: Bool) -> String {
    passwords += 1
    let password = "new password \(passwords) by \(name)"
    // Its user hears of it before it works, and may try it early.
    if !isTrial { history.newPasswords[user.account] = password }
    return password
  }

  /// Enables some accounts in the end, so that their users see what has become of them.
  private func enableAll(_ disabled: [TokenFacts], _ client: AccountClient) async throws {
    for user in disabled where state.stream.chance(0.5) {
      _ = try await client.sendUntilAnswered(
        .operate(
          OperatorRequest(
            action: .enable, subject: user.subject, account: user.account, token: history.operatorToken)))
    }
  }
}
