import Environment
import Simulation
import System

/// What the users of a run share.
private struct Society {
  let choices: Choices
  let histories: Histories
  let tables: ServedTables
  let turns: Turns?
  let directory = ChatDirectory()
  let rendezvous = Rendezvous()
  let known = KnownValues()
}

extension Scenario {
  /// Makes the users of the scenario. Callers read `tables`. An operator reads the overview of
  /// `manager` in the end and shows it `token`; without a manager, and for callers alone, there is
  /// no operator.
  func users(
    _ choices: Choices, _ histories: Histories, _ tables: ServedTables, manager: SocketAddress?, token: String?,
    turns: Turns? = nil
  ) -> [any SimulatedUser] {
    let society = Society(choices: choices, histories: histories, tables: tables, turns: turns)
    var users = self.users(of: people, society)
    if hasBystanders {
      let others = Society(choices: choices, histories: histories, tables: tables, turns: turns)
      users += self.users(of: bystanders, others)
    }
    // Callers do not wait for anything to come to rest.
    if let manager, people.contains(where: { $0.role != .caller }) {
      let state = UserState(
        Self.operatorNode, behavior: UserGroup(), stream: choices.stream("operator"), histories)
      users.append(
        Operator(
          state, history: histories.sessions, rendezvous: society.rendezvous, manager: manager, token: token))
    }
    return users
  }

  private func users(of groups: [UserGroup], _ society: Society) -> [any SimulatedUser] {
    society.turns?.rendezvous.append(society.directory.rendezvous)
    return groups.flatMap { group in
      group.names.map { name in
        let stream = society.choices.stream("person/\(group.bare(name))")
        return user(
          UserState(name, behavior: group, stream: stream, society.histories, turns: society.turns), society)
      }
    }
  }

  private func user(_ state: UserState, _ society: Society) -> any SimulatedUser {
    let (group, histories, rendezvous) = (state.behavior, society.histories, society.rendezvous)
    let sessions = histories.sessions
    func agenda<Action>(_ weights: [(action: Action, weight: Int)]) -> Agenda<Action> {
      Agenda(of: state, weights: weights, in: self)
    }
    var connections: [(action: ConnectionKind, weight: Int)] {
      let possible = possibleConnections
      return group.connectionActions.filter { possible.contains($0.action) }
    }
    switch group.role {
    case .account: return AccountUser(state, history: histories.accounts, agenda: agenda(group.actions))
    case .chat:
      return ChatUser(
        state, history: histories.chat, directory: society.directory, agenda: agenda(group.chatActions))
    case .user:
      return SupervisedUser(state, history: sessions, rendezvous: rendezvous, agenda: agenda(group.userActions))
    case .customer:
      return Customer(state, history: sessions, rendezvous: rendezvous, agenda: agenda(group.customerActions))
    case .operator:
      return ServiceOperator(state, histories, rendezvous: rendezvous, agenda: agenda(group.operatorActions))
    case .vandal: return PoisonPublisher(state, history: sessions, rendezvous: rendezvous, run: run)
    case .worker where group.limits:
      let isSteady = !faults.contains { $0.kind is Skew }
      return LimitsWorker(state, history: sessions, rendezvous: rendezvous, run: run, hasSteadyClocks: isSteady)
    case .worker where group.methods:
      let mayRestart = faults.contains { $0.kind is Crash || $0.kind is Drain || $0.kind is DiskFault }
      return MethodWorker(state, history: sessions, rendezvous: rendezvous, run: run, mayRestart: mayRestart)
    case .worker: return QueueWorker(state, history: sessions, rendezvous: rendezvous, run: run)
    case .attacker: return Attacker(state, services: attackedServices, agenda: agenda(connections))
    case .caller:
      let isAlone = people.allSatisfy { $0.role == .caller }
      let caller = CallerState(
        state, society.known, histories.callers, society.tables, isAlone: isAlone,
        spellings: society.choices.stream("spelling/\(group.bare(state.name))"))
      return Caller(caller, agenda: agenda(connections))
    }
  }
}

extension UserGroup {
  /// A name without the tag of the group. A tag makes names new; the choices stay those of the
  /// seed.
  fileprivate func bare(_ name: String) -> String { tag.isEmpty ? name : name.replacing(tag, with: "") }
}
