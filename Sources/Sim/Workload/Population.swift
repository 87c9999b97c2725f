import Environment
import Simulation
import System

extension Scenario {
  /// Makes the users of the scenario. An operator reads the overview of `manager` in the end and
  /// shows it `token`; without a manager there is no operator.
  func users(
    _ choices: Choices, _ histories: Histories, manager: SocketAddress?, token: String?
  ) -> [any Inhabitant] {
    let tally = histories.tally
    let commons = ChatCommons()
    let sessionCommons = SessionCommons()
    var users: [any Inhabitant] = []
    for group in people {
      for name in group.names {
        // A tag makes names new; the choices stay those of the seed.
        let stream = choices.stream("person/" + (group.tag.isEmpty ? name : name.replacing(group.tag, with: "")))
        func agenda<A>(_ weights: [(action: A, weight: Int)]) -> Agenda<A> {
          Agenda(of: name, weights: weights, thinkTime: group.thinkTime, scenario: self)
        }
        func resident<P: Resident<SessionHistory, SessionCommons, SessionAction>>(_ type: P.Type) -> P {
          sessionCommons.people += 1
          return P(
            name, behavior: group, stream: stream, history: histories.sessions, tally: tally, commons: sessionCommons,
            agenda: agenda(group.sessionActions))
        }
        switch group.role {
        case .account:
          users.append(
            Person(
              name, behavior: group, stream: stream, history: histories.accounts, tally: tally, scenario: self))
        case .chat:
          commons.people += 1
          users.append(
            Chatter(
              name, behavior: group, stream: stream, history: histories.chat, tally: tally, commons: commons,
              agenda: agenda(group.chatActions)))
        case .user: users.append(resident(SessionUser.self))
        case .vandal: users.append(resident(Vandal.self))
        case .worker: users.append(resident(Worker.self))
        case .attacker:
          let possible = possibleAttacks
          users.append(
            Attacker(
              name, stream: stream, tally: tally, scenario: self,
              agenda: agenda(group.attackActions.filter { possible.contains($0.action) })))
        case .customer: users.append(resident(SessionCustomer.self))
        }
      }
    }
    if let manager {
      users.append(Operator(history: histories.sessions, commons: sessionCommons, manager: manager, token: token))
    }
    return users
  }
}
