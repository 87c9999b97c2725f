import System

extension Scenario {
  /// What a scenario may set of the services.
  public struct ServiceSettings: Sendable {
    var accessTokenLifetime: Duration = .seconds(3600)
    var refreshTokenLifetime: Duration = .seconds(7 * 86_400)
    /// One round: simulated passwords need no protection.
    var passwordRounds = 1
    /// How the Chat Service keeps its sockets.
    var pingInterval = EngineIOOptions().pingInterval
    var pingTimeout = EngineIOOptions().pingTimeout
    /// The longest time in which a client that has vanished is not noticed.
    var vanishing: Duration { pingInterval + pingTimeout }
    /// Bugs to plant, for the tests of the oracles.
    public var planted: Set<PlantedBug> = []
    /// See `planted`.
    public var plantedInChat: Set<PlantedChatBug> = []
    /// See `planted`.
    public var plantedInBroker: Set<PlantedBrokerBug> = []
    /// See `planted`.
    public var plantedInManager: Set<PlantedManagerBug> = []
    /// See `planted`.
    public var plantedInCustomers: Set<PlantedCustomerBug> = []
    /// What the database promises.
    public var database = DatabaseOptions()

    /// The services as they are set up by default, but for a log that is short, so that it is copied in nearly every run.
    public init() { database.longLog = 1 << 18 }

    /// Plants a bug by its name, `manager.taskPerMessage`. False when there is none of that name.
    public mutating func plant(_ name: String) -> Bool {
      let parts = name.split(separator: ".").map(String.init)
      guard parts.count == 2 else { return false }
      switch parts[0] {
      case "users": return PlantedBug(rawValue: parts[1]).map { planted.insert($0) } != nil
      case "chat": return PlantedChatBug(rawValue: parts[1]).map { plantedInChat.insert($0) } != nil
      case "broker": return PlantedBrokerBug(rawValue: parts[1]).map { plantedInBroker.insert($0) } != nil
      case "manager": return PlantedManagerBug(rawValue: parts[1]).map { plantedInManager.insert($0) } != nil
      case "customers": return PlantedCustomerBug(rawValue: parts[1]).map { plantedInCustomers.insert($0) } != nil
      case "database" where parts[1] == "synchronousOff": database.synchronous = false
      case "database" where parts[1] == "answersEarly": database.answersAfterCommit = false
      default: return false
      }
      return true
    }

    /// The names of all bugs that can be planted.
    public static var plantable: [String] {
      PlantedBug.allCases.map { "users.\($0.rawValue)" } + PlantedChatBug.allCases.map { "chat.\($0.rawValue)" }
        + PlantedBrokerBug.allCases.map { "broker.\($0.rawValue)" }
        + PlantedManagerBug.allCases.map { "manager.\($0.rawValue)" }
        + PlantedCustomerBug.allCases.map { "customers.\($0.rawValue)" }
        + ["database.synchronousOff", "database.answersEarly"]
    }
  }
}
