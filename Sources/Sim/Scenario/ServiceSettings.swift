import Environment
import System

extension Scenario {
  /// The settings of the services that a scenario may change.
  public struct ServiceSettings: Sendable {
    var accessTokenLifetime: Duration = .seconds(3600)
    var refreshTokenLifetime: Duration = .seconds(7 * 86_400)
    /// One round: simulated passwords need no protection.
    var passwordRounds = 1
    /// Bytes of ready messages that the broker keeps in memory.
    var pagingBound = BrokerOptions().pagingBound
    /// How long supervised sessions that have ended are kept.
    var endedSessions = Retention()
    /// How much the nodes of the services, and those of the programs beside them, do at once.
    var limits = WorkLimits()
    /// Heartbeats of the sockets of the Chat Service.
    var pingInterval = EngineIOOptions().pingInterval
    var pingTimeout = EngineIOOptions().pingTimeout
    /// The longest time in which an abandoned socket is not noticed.
    var vanishing: Duration { pingInterval + pingTimeout }
    /// Bugs to plant in the services.
    public var planted: Set<PlantedBug> = []
    /// The database options of each service: the defaults, with a log so short that nearly every
    /// run checkpoints it.
    var database: DatabaseOptions {
      var options = DatabaseOptions()
      options.longLog = 1 << 18
      options.planted = PlantedBugs(planted)
      return options
    }

    /// The services with their defaults.
    public init() {}

    /// Plants a bug by its name, `manager.taskPerMessage`.
    /// - Throws: `UnknownBug`, whose description suggests a similar name.
    public mutating func plant(_ name: String) throws(UnknownBug) {
      guard let bug = PlantedBug(rawValue: name) else { throw UnknownBug(name: name) }
      planted.insert(bug)
    }
  }

  /// A name that no planted bug of this build has.
  public struct UnknownBug: Error, CustomStringConvertible {
    let name: String

    /// The names of all bugs that this build can plant.
    public static var known: [String] { PlantedBug.allCases.map(\.rawValue) }

    /// The error, with a suggestion.
    public var description: String {
      guard PlantedBug.isAvailable else { return "this binary is built without planted bugs: use scripts/run" }
      return "no bug is called \"\(name)\"\(Spelling.hint(name, among: Self.known))"
    }
  }
}
