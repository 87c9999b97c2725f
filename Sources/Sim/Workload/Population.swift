import Environment
import Simulation
import System

extension Scenario {
  /// Makes the users of the scenario. An operator reads the overview of `manager` in the end and
  /// shows it `token`; without a manager there is no operator.
  func users(
    _ choices: Choices, _ histories: Histories, manager: SocketAddress?, token: String?
  ) -> [any SimulatedUser] {
    let (directory, rendezvous) = (ChatDirectory(), Rendezvous())
    var users: [any SimulatedUser] = []
    for group in people {
      for name in group.names {
        // A tag makes names new; the choices stay those of the seed.
        let stream = choices.stream("person/" + (group.tag.isEmpty ? name : name.replacing(group.tag, with: "")))
        let state = UserState(name, behavior: group, stream: stream, histories)
        users.append(user(state, histories, directory, rendezvous))
      }
    }
    if let manager {
      let state = UserState(
        Self.operatorNode, behavior: UserGroup(), stream: choices.stream("operator"), histories)
      users.append(
        Operator(state, history: histories.sessions, rendezvous: rendezvous, manager: manager, token: token))
    }
    return users
  }

  private func user(
    _ state: UserState, _ histories: Histories, _ directory: ChatDirectory, _ rendezvous: Rendezvous
  ) -> any SimulatedUser {
    let (group, sessions) = (state.behavior, histories.sessions)
    func agenda<Action>(_ weights: [(action: Action, weight: Int)]) -> Agenda<Action> {
      Agenda(of: state, weights: weights, in: self)
    }
    switch group.role {
    case .account: return AccountUser(state, history: histories.accounts, agenda: agenda(group.actions))
    case .chat:
      return ChatUser(state, history: histories.chat, directory: directory, agenda: agenda(group.chatActions))
    case .user:
      return SupervisedUser(state, history: sessions, rendezvous: rendezvous, agenda: agenda(group.userActions))
    case .customer:
      return Customer(state, history: sessions, rendezvous: rendezvous, agenda: agenda(group.customerActions))
    case .vandal: return PoisonPublisher(state, history: sessions, rendezvous: rendezvous, run: run)
    case .worker where group.limits:
      let isSteady = !faults.contains { $0.kind is Skew }
      return LimitsWorker(state, history: sessions, rendezvous: rendezvous, run: run, hasSteadyClocks: isSteady)
    case .worker: return QueueWorker(state, history: sessions, rendezvous: rendezvous, run: run)
    case .attacker:
      let possible = possibleAttacks
      return Attacker(
        state, services: attackedServices,
        agenda: agenda(group.attackActions.filter { possible.contains($0.action) }))
    }
  }
}
