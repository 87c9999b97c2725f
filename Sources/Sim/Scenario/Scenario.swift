import Environment
import Simulation
import System

/// A scenario: who is there, what they do, what goes wrong, and what has to have happened. See `docs/scenarios.md`.
public struct Scenario: Sendable {
  /// What it is called in reports.
  public var name = ""
  /// The people, in groups that behave alike.
  public var people: [UserGroup] = []
  /// Simulated time in which people act and faults strike; then faults stop and everything has to come right.
  public var run: Duration = .seconds(60)
  /// Time after that in which everybody has to be served, and everything up.
  var grace: Duration = .seconds(1800)
  /// When the run ends whatever is under way: what it is about has happened by then.
  var end: Duration?
  /// What goes wrong.
  public var faults: [Fault] = []
  /// Exact steps.
  public var script: [ScriptStep] = []
  /// Counters that have to reach at least so much over all seeds.
  public var expect: [(counter: Counter, atLeast: Int)] = []
  /// How the User Service is set up.
  public var service = ServiceSettings()
  var link = LinkSetting()
  var clocks: [ClockRule] = []

  /// The seed to run it with when nobody names one: what fuzzing found fails with it.
  public var seed: UInt64?
  /// How its schedules are made when nobody says otherwise.
  public var strategy = StrategyName.random
  /// What is left to the seed; all of it, but in what shrinking has made simple.
  var windows = ChoiceWindows()
  /// Whether it stands for one run: what chance may do in it was cut down to that.
  public var isRecording: Bool { !windows.all.isEmpty }
  /// Whether it is about its own seed alone: a recording, or the lesson of a planted bug.
  public var hasOneSeed: Bool { seed != nil && (isRecording || !fails.isEmpty) }
  /// Orders of events that have to be seen over all seeds.
  public var sometimes: [Orderings.Pair] = []
  /// The oracles of which one has to fail: what a scenario with a planted bug is about.
  public var fails: [String] = []
  /// Whether there is a Chat Service.
  var hasChat = false

  /// Hosts of supervisors; with one or more there are the broker, the manager and the Customer Server as well.
  var supervisorHosts = 0
  /// Whether there is a broker, also without them.
  var hasBroker = false
  struct ClockRule: Sendable {
    let node: String
    let skew: Duration
    let driftPartsPerMillion: Int64
  }

  /// An exact step: somebody does something at a time.
  public struct ScriptStep: Sendable {
    let at: Duration
    let who: String
    /// One of the actions of their role.
    let action: String
    /// Towards whom; nil leaves that to chance.
    var to: String?
  }

  /// Whether some of a group's people may do something, by chance or by the script.
  func hasAction(_ action: ChatAction, in group: UserGroup) -> Bool {
    group.chatActions.contains { $0.action == action }
      || script.contains { $0.action == action.rawValue && group.names.contains($0.who) }
  }

  /// Whether nothing is on its way for long but by a fault.
  var isQuick: Bool { link.stalls == 0 && link.latency.upperBound <= .milliseconds(20) }

  /// Whether nothing goes wrong.
  var isCalm: Bool { isQuick && faults.isEmpty }

  /// Whether a socket may have to be missed.
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

  /// The names of all people, in order.
  var peopleNames: [String] { people.flatMap(\.names) }
}
