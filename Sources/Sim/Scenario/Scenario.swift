import Environment
import Simulation
import System

/// A scenario: its users and their actions, its faults, and what its runs have to reach. See
/// `docs/scenarios.md`.
public struct Scenario: Sendable {
  /// The name in reports.
  public var name = ""
  /// The groups of users.
  public var people: [UserGroup] = []
  /// Virtual time in which users act and faults strike. Then the faults end and everything
  /// recovers.
  public var run: Duration = .seconds(60)
  /// Time after `run` in which every user has to be served and every service has to come up.
  var grace: Duration = .seconds(1800)
  /// When the run ends in any case. Only oracles that judge at once judge such a run.
  var end: Duration?
  /// Whether users look at the result before everything has come to rest.
  var restsBriefly = false
  /// Whether the services are compared with restarted ones after everybody has left (`at-rest`).
  var atRest = false
  /// Whether other jobs run between the disk operations of a commit.
  var splitsDiskWork = false
  /// The faults.
  public var faults: [Fault] = []
  /// Actions at exact times.
  public var script: [ScriptStep] = []
  /// The least number that a counter has to reach over ten seeds.
  public var expect: [(counter: Counter, atLeast: Int)] = []
  /// The settings of the services.
  public var service = ServiceSettings()
  var link = LinkSetting()
  var clocks: [ClockRule] = []

  /// The seed for a command that names none. A scenario that fuzzing found fails with it.
  public var seed: UInt64?
  /// The strategy of the scheduler for a command that names none.
  public var strategy = StrategyName.random
  /// The choices that are left to the seed. Shrinking makes all others simple.
  var windows = ChoiceWindows()
  /// The steps after which choices derive from other seeds.
  var branches: [Branch] = []
  /// The steps after which a given job goes next.
  var picks: [Pick] = []
  /// Whether the scenario is the recording of one run.
  public var isRecording: Bool {
    !windows.all.isEmpty || !branches.isEmpty || !picks.isEmpty || faults.contains { $0.step != nil }
  }
  /// Whether the scenario is only for its own seed: a recording, or the lesson of a planted bug.
  public var hasOneSeed: Bool { seed != nil && (isRecording || !fails.isEmpty) }
  /// Orders of events that have to be seen over ten seeds.
  public var sometimes: [Orderings.Pair] = []
  /// The oracles of which one has to find the planted bug.
  public var fails: [String] = []
  /// Whether there is a Chat Service.
  var hasChat = false

  /// The number of hosts of supervisors. With one or more there are also a broker, a manager, a
  /// Chat Service and a Customer Server.
  var supervisorHosts = 0
  /// Whether there is a broker.
  var hasBroker = false
  /// Whether all connections use TLS.
  var hasTLS = false
  /// Whether the User Service keeps its tables in a PostgreSQL, which is a node of its own.
  var hasDatabaseServer = false
  /// The number of nodes of the User Service. Several share one PostgreSQL.
  var usersCount = 1
  /// The number of nodes of the User Manager. Of several, which share one PostgreSQL, one is active.
  var managersCount = 1
  /// The nodes that run the Chat Service. Several share a PostgreSQL.
  var chatCount = 1
  struct ClockRule: Sendable {
    let node: String
    let skew: Duration
    let driftPartsPerMillion: Int64
  }

  /// An action of one user at an exact time.
  public struct ScriptStep: Sendable {
    let at: Duration
    let who: String
    /// An action of the user's role.
    let action: String
    /// The target; nil picks one at random.
    var to: String?
  }

  /// Whether a user of a group may take an action, at random or by the script.
  func hasAction(_ action: ChatAction, in group: UserGroup) -> Bool {
    group.chatActions.contains { $0.action == action }
      || script.contains { $0.action == action.rawValue && group.names.contains($0.who) }
  }

  /// Whether the network delivers every segment soon, faults aside.
  var isQuick: Bool { link.stalls == 0 && link.latency.upperBound <= .milliseconds(20) }

  /// Whether there are no faults and the network is quick.
  var isCalm: Bool { isQuick && faults.isEmpty }

  /// Whether a service may need heartbeats to notice the end of a socket.
  var needsHeartbeats: Bool { !isCalm || somebodyVanishes }

  /// Whether a user may end a socket without a word to the server.
  private var somebodyVanishes: Bool {
    let steps = script.map(\.action)
    return people.contains { group in
      group.role == .chat
        ? group.chatActions.contains { $0.action.isSilent }
        : group.role == .user && group.userActions.contains { $0.action.isSilent }
    } || steps.contains { ChatAction(rawValue: $0)?.isSilent ?? false }
      || steps.contains { SupervisedUserAction(rawValue: $0)?.isSilent ?? false }
  }

  /// The names of all users, in order.
  var peopleNames: [String] { people.flatMap(\.names) }
}
