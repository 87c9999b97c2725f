import Environment
import Simulation
import System

/// An operator who disables and enables the accounts of other users, ends their logins, gives them
/// new passwords, and treats dead letters.
final class ServiceOperator: SimulatedUser {
  let state: UserState
  private let history: AccountHistory
  private let sessions: SessionHistory
  private let rendezvous: Rendezvous
  private var agenda: Agenda<OperatorAction>
  private var passwords = 0
  private var disabled: [TokenFacts] = []

  init(_ state: UserState, _ histories: Histories, rendezvous: Rendezvous, agenda: Agenda<OperatorAction>) {
    self.state = state
    history = histories.accounts
    sessions = histories.sessions
    self.rendezvous = rendezvous
    self.agenda = agenda
    // The dead letters are counted when nobody treats them any more.
    rendezvous.users += 1
  }

  func live(_ environment: Environment) async throws {
    let begin = environment.clock.now
    let client = AccountClient(state, history, environment)
    defer { client.close() }
    while let action = try await agenda.next(since: begin, environment) {
      switch action {
      case .replayLetters: try await treatLetters(.replay, environment)
      case .dropLetters: try await treatLetters(.drop, environment)
      case .tryOut: try await change(state.stream.pick(OperatorAction.changes), isTrial: true, client)
      case .disable, .enable, .revoke, .setPassword: try await change(action, isTrial: false, client)
      }
    }
    try await enableAll(client)
    rendezvous.settle()
    rendezvous.look()
    state.isServed = true
  }

  // MARK: Accounts

  private func change(_ action: OperatorAction, isTrial: Bool, _ client: AccountClient) async throws {
    // Most accounts that are enabled were disabled before.
    let users = action == .enable && !disabled.isEmpty && state.stream.chance(0.9) ? disabled : history.subjects
    guard let user = state.stream.pickAny(of: users) else { return }
    let request = OperatorRequest(
      action: action, isTrial: isTrial, subject: user.subject, account: user.account,
      password: action == .setPassword ? newPassword(of: user, isTrial: isTrial) : nil, token: history.operatorToken)
    state.lastSeen = "\(action.rawValue) \(user.account)"
    let answer = try await client.sendPersistently(.operate(request))
    guard answer.isSuccess, !isTrial else { return }
    state.tally.count(.accountOperations)
    if action == .disable { disabled.append(user) }
    if action == .enable { disabled.removeAll { $0.subject == user.subject } }
  }

  private func newPassword(of user: TokenFacts, isTrial: Bool) -> String {
    passwords += 1
    let password = "new password \(passwords) by \(name)"
    // Its user hears of it before it works, and may try it early.
    if !isTrial { history.newPasswords[user.account] = password }
    return password
  }

  /// Enables some accounts in the end, so that their users see what has become of them.
  private func enableAll(_ client: AccountClient) async throws {
    for user in disabled where state.stream.chance(0.5) {
      let request = OperatorRequest(
        action: .enable, subject: user.subject, account: user.account, token: history.operatorToken)
      _ = try await client.sendUntilAnswered(.operate(request))
    }
  }

  // MARK: Dead letters

  private func treatLetters(_ treatment: QueueOperator.Treatment, _ environment: Environment) async throws {
    state.lastSeen = treatment == .replay ? "replays dead letters" : "drops dead letters"
    let limit = state.stream.pick([1, 5, 100])
    do {
      try await QueueOperator.connected(environment, broker: Scenario.broker) { queues in
        let isTrial = state.stream.chance(0.1)
        if treatment == .drop, !isTrial {
          queues.onLetter = { [sessions] letter in
            if let id = letter.messageID?.text { sessions.droppedIDs.insert(id) }
          }
        }
        defer {
          // Those that were acknowledged are gone, or will be, whatever became of the connection.
          if treatment == .drop { sessions.lettersDropped += queues.removed }
        }
        let outcomes = try await queues.treat(treatment, from: nil, limit: limit, isTrial: isTrial)
        for outcome in outcomes { for _ in 0..<outcome.letters { state.tally.count(.lettersTreated) } }
      }
    } catch is NetworkError {
      state.lastSeen = "the broker does not answer"
    } catch is AMQPError {
      state.lastSeen = "the broker refuses"
    }
  }
}
