import Environment
import Simulation
import System

/// The programs of the nodes that run services.
extension ScenarioRunner {
  /// The program of the node of a service, with the work limits of the scenario, and with TLS if
  /// there are certificates. PostgreSQL runs without either.
  func program(
    of node: String, _ certificates: SimulatedCertificates?, _ database: SimulatedDatabase?
  ) -> SimNode.Program {
    if let database, node == Scenario.databaseNode { return database.program }
    let (program, limits) = (program(of: node), scenario.service.limits)
    return { environment in
      let limited = environment.with(limits: limits)
      return try await program(certificates?.secure(limited) ?? limited)
    }
  }

  /// The program of the node of a service.
  func program(of node: String) -> SimNode.Program {
    let settings = scenario.service
    let servers = servers
    switch node {
    case "broker":
      return { environment in
        var options = BrokerOptions()
        options.pagingBound = settings.pagingBound
        options.address = Scenario.brokerAddress
        options.serviceToken = Scenario.serviceToken
        options.database = settings.database
        options.planted = PlantedBugs(settings.planted)
        return try await Broker.start(environment, options)
      }
    case Scenario.managerNode:
      return { environment in
        var options = UserManagerOptions()
        options.address = Scenario.managerAddress
        options.retention = settings.endedSessions
        options.broker = Scenario.broker
        options.server.serviceToken = Scenario.serviceToken
        options.database = settings.database
        options.database.servers = servers
        options.planted = PlantedBugs(settings.planted)
        return try await UserManager.start(environment, options)
      }
    case Scenario.customersNode:
      return { environment in
        var options = CustomerServerOptions()
        options.address = Scenario.customersAddress
        options.credentials = Scenario.usersAddress
        options.broker = Scenario.broker
        options.server.serviceToken = Scenario.serviceToken
        options.database = settings.database
        options.database.servers = servers
        options.planted = PlantedBugs(settings.planted)
        return try await CustomerServer.start(environment, options)
      }
    case _ where scenario.usersNodes.contains(node): return usersProgram
    case _ where scenario.chatNodes.contains(node): return chatProgram
    default:
      return { environment in
        var options = SupervisorHostOptions()
        options.broker = Scenario.broker
        return try await SupervisorHost.start(environment, options)
      }
    }
  }

  /// The options of the database server, if the scenario has one.
  private var servers: PostgresOptions? { scenario.hasDatabaseServer ? SimulatedDatabase.servers : nil }

  private var usersProgram: SimNode.Program {
    let settings = scenario.service
    let servers = servers
    let secrets = scenario.usersCount > 1 ? [Array("the secret of all nodes of the User Service".utf8)] : []
    return { environment in
      var options = UserServiceOptions()
      options.address = SocketAddress(host: environment.node, port: Scenario.usersAddress.port)
      options.secrets = secrets
      // Users of some scenarios register again and again.
      options.registrationLimit = 0
      options.accessTokenLifetime = settings.accessTokenLifetime
      options.refreshTokenLifetime = settings.refreshTokenLifetime
      options.passwordRounds = settings.passwordRounds
      options.server.serviceToken = Scenario.serviceToken
      options.planted = PlantedBugs(settings.planted)
      options.database = settings.database
      options.database.servers = servers
      return try await UserService.start(environment, options)
    }
  }

  private var chatProgram: SimNode.Program {
    let settings = scenario.service
    let hasBroker = scenario.supervisorHosts > 0
    let servers = servers
    let isOneOfSeveral = scenario.chatCount > 1
    return { environment in
      var options = ChatServiceOptions()
      options.address = SocketAddress(host: environment.node, port: Scenario.chatAddress.port)
      options.isOneOfSeveral = isOneOfSeveral
      options.users = Scenario.usersAddress
      options.server.serviceToken = Scenario.serviceToken
      options.planted = PlantedBugs(settings.planted)
      options.sockets.pingInterval = settings.pingInterval
      options.sockets.pingTimeout = settings.pingTimeout
      options.database = settings.database
      options.database.servers = servers
      guard hasBroker else { return try await ChatService.start(environment, options) }
      return try await ChatService.start(environment, options) { environment, delivery in
        await QueueUserServer.start(environment, broker: Scenario.broker, delivery)
      }
    }
  }
}
