import Environment
import Simulation
import System

/// Who lives in a scenario's world: the services and the people.
extension ScenarioRunner {
  /// What services show each other.
  static let serviceToken = "a service token"

  static let broker = BrokerAddress(address: Scenario.brokerAddress, user: "parley", password: serviceToken)

  /// What a service's node runs.
  func program(of node: String) -> SimNode.Program {
    let settings = scenario.service
    switch node {
    case "broker":
      return { environment in
        var options = BrokerOptions()
        options.address = Scenario.brokerAddress
        options.serviceToken = Self.serviceToken
        options.database = settings.database
        options.planted = settings.plantedInBroker
        return try await Broker.start(environment, options)
      }
    case "manager":
      return { environment in
        var options = UserManagerOptions()
        options.address = Scenario.managerAddress
        options.broker = Self.broker
        options.server.serviceToken = Self.serviceToken
        options.database = settings.database
        options.planted = settings.plantedInManager
        return try await UserManager.start(environment, options)
      }
    case "customers":
      return { environment in
        var options = CustomerServerOptions()
        options.address = Scenario.customersAddress
        options.credentials = Scenario.usersAddress
        options.broker = Self.broker
        options.server.serviceToken = Self.serviceToken
        options.database = settings.database
        options.planted = settings.plantedInCustomers
        return try await CustomerServer.start(environment, options)
      }
    case Scenario.usersNode: return usersProgram
    case Scenario.chatNode: return chatProgram
    default:
      return { environment in
        var options = SupervisorHostOptions()
        options.broker = Self.broker
        return try await SupervisorHost.start(environment, options)
      }
    }
  }

  private var usersProgram: SimNode.Program {
    let settings = scenario.service
    return { environment in
      var options = UserServiceOptions()
      options.address = Scenario.usersAddress
      // A person who registers again and again is one of the workloads.
      options.registrationLimit = 0
      options.accessTokenLifetime = settings.accessTokenLifetime
      options.refreshTokenLifetime = settings.refreshTokenLifetime
      options.passwordRounds = settings.passwordRounds
      options.server.serviceToken = Self.serviceToken
      options.planted = settings.planted
      options.database = settings.database
      return try await UserService.start(environment, options)
    }
  }

  private var chatProgram: SimNode.Program {
    let settings = scenario.service
    let hasBroker = scenario.supervisorHosts > 0
    return { environment in
      var options = ChatServiceOptions()
      options.address = Scenario.chatAddress
      options.users = Scenario.usersAddress
      options.server.serviceToken = Self.serviceToken
      options.planted = settings.plantedInChat
      options.sockets.pingInterval = settings.pingInterval
      options.sockets.pingTimeout = settings.pingTimeout
      options.database = settings.database
      guard hasBroker else { return try await ChatService.start(environment, options) }
      return try await ChatService.start(environment, options) { environment, delivery in
        await QueueUserServer.start(environment, broker: Self.broker, delivery)
      }
    }
  }

  // MARK: People

  /// The people, with what they note; one of them looks at `manager` in the end, with `token`.
  func people(
    _ choices: Choices, _ history: History, _ chat: ChatHistory, _ sessions: SessionHistory, manager: SocketAddress?,
    token: String?
  ) -> [any Inhabitant] {
    let commons = ChatCommons()
    let sessionCommons = SessionCommons()
    var people: [any Inhabitant] = []
    for group in scenario.people {
      for name in group.names {
        // A tag makes names new; what people do stays what the seed says.
        let stream = choices.stream("person/" + (group.tag.isEmpty ? name : name.replacing(group.tag, with: "")))
        func agenda<A>(_ weights: [(action: A, weight: Int)]) -> Agenda<A> {
          Agenda(of: name, weights: weights, thinkTime: group.thinkTime, scenario: scenario)
        }
        func resident<P: Resident<SessionHistory, SessionCommons, SessionAction>>(_ type: P.Type) -> P {
          sessionCommons.people += 1
          return P(
            name, behavior: group, stream: stream, history: sessions, counters: history, commons: sessionCommons,
            agenda: agenda(group.sessionActions))
        }
        switch group.role {
        case .account:
          people.append(Person(name, behavior: group, stream: stream, history: history, scenario: scenario))
        case .chat:
          commons.people += 1
          people.append(
            Chatter(
              name, behavior: group, stream: stream, history: chat, counters: history, commons: commons,
              agenda: agenda(group.chatActions)))
        case .user: people.append(resident(SessionUser.self))
        case .vandal: people.append(resident(Vandal.self))
        case .worker: people.append(resident(Worker.self))
        case .attacker:
          // What there is to attack depends on the topology.
          let possible = scenario.possibleAttacks
          people.append(
            Attacker(
              name, stream: stream, history: history, scenario: scenario,
              agenda: agenda(group.attackActions.filter { possible.contains($0.action) })))
        case .customer: people.append(resident(SessionCustomer.self))
        }
      }
    }
    if let manager {
      people.append(Operator(history: sessions, commons: sessionCommons, manager: manager, token: token))
    }
    return people
  }
}
