import Environment
import Simulation
import System

/// The turns of users who act one after another. The script decides what happens, and not the
/// schedule: a turn begins when nothing of the one before is under way.
final class Turns {
  enum Phase: Hashable {
    /// A user logs in.
    case arrive
    /// A user gets to know the others.
    case meet
    /// A user takes an action.
    case act
    /// A user goes offline or stays.
    case settle
    /// A user reads all that it may read.
    case look
  }

  struct Turn {
    let phase: Phase
    let who: String
    /// The time of the step in the script that this turn is, or would be.
    var at: Duration = .zero
    /// The action; nil if it is drawn.
    var action: String?
    var to: String?
  }

  /// A turn in the order of everything that users did and saw.
  struct Record {
    let turn: Turn
    let begin: Int
    var end = Int.max
    /// The action that was taken.
    var action: String?
  }

  /// Time after an action in which sockets that have ended are open again, and every user hears of
  /// it.
  static let settling: Duration = .seconds(8)
  /// Turns begin at multiples of this time, so that they begin at the same times in two worlds.
  private static let beat: Duration = .seconds(13)
  /// Time between two looks at whose turn it is.
  private static let look: Duration = .seconds(1)

  let plan: [Turn]
  private(set) var records: [Record] = []
  /// Those whose services may need time to notice what users did.
  var rendezvous: [Rendezvous] = []
  /// Called after a turn of a user. Returns the time that its effect lasts; nil if it did nothing.
  var interlude: (Int) -> Duration? = { _ in nil }
  /// Whether all services are up.
  var isReady: () -> Bool = { true }

  private var current = 0
  private let choices: Choices
  private let log: CallLog

  init(_ scenario: Scenario, _ choices: Choices, _ log: CallLog) {
    self.choices = choices
    self.log = log
    plan = Self.plan(scenario, choices.stream("turns"), choices.stream("turns/\(Scenario.bystander)"))
  }

  // MARK: The plan

  /// What bystanders do.
  private static let accounting = [AccountAction.register, .login, .addSession, .refresh, .getSessions].map(\.rawValue)
  private static let chatting = [ChatAction.sendDirect, .sendGroup, .typing, .disconnect, .readHistory].map(\.rawValue)

  private static func plan(_ scenario: Scenario, _ stream: ChoiceStream, _ others: ChoiceStream) -> [Turn] {
    // Bystanders come first, so that the numbers that services assign are others.
    let everybody = scenario.bystanders + scenario.people
    func turns(_ phase: Phase, _ groups: [UserGroup]) -> [Turn] {
      groups.flatMap { group in group.names.map { Turn(phase: phase, who: $0) } }
    }
    let chatters = everybody.filter { $0.role == .chat }
    var acts = scenario.script.enumerated().sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }.map {
      Turn(phase: .act, who: $0.element.who, at: $0.element.at, action: $0.element.action, to: $0.element.to)
    }
    let last = acts.last.map(\.at) ?? .zero
    let active = scenario.people.filter(\.actsAtRandom).flatMap(\.names)
    if !active.isEmpty {
      for number in 1..<1 + (scenario.turns ?? 0) {
        let at = .seconds(last.components.seconds) + Duration.seconds(number)
        acts.append(Turn(phase: .act, who: stream.pick(active), at: at))
      }
    }
    let bystanders = scenario.bystanders.flatMap(\.names)
    if let role = scenario.bystanders.first?.role {
      acts = acts.enumerated().flatMap { index, act -> [Turn] in
        guard index % 2 == 0 else { return [act] }
        let action = others.pick(role == .chat ? chatting : accounting)
        return [act, Turn(phase: .act, who: others.pick(bystanders), at: act.at, action: action)]
      }
    }
    return turns(.arrive, chatters) + turns(.meet, chatters) + acts + turns(.settle, chatters) + turns(.look, everybody)
  }

  // MARK: Taking turns

  /// Virtual time since the beginning.
  private var now: Duration { .nanoseconds(log.time) }

  /// Whether the services are not up yet. The time until the first turn is enough for them.
  private var isBooting: Bool { records.isEmpty && (now < Self.beat || !isReady()) }

  /// Waits for a user's turn in a phase; nil if no such turn is left.
  func wait(for phase: Phase, _ who: String, _ environment: Environment) async throws -> Turn? {
    guard plan[current...].contains(where: { $0.phase == phase && $0.who == who }) else { return nil }
    while plan[current].phase != phase || plan[current].who != who || records.count > current || isBooting {
      try await sleep(to: Self.look, environment)
    }
    records.append(Record(turn: plan[current], begin: log.next()))
    return plan[current]
  }

  /// The stream that decides what a user does in a turn. A turn that is taken without another one
  /// before it is the same turn.
  func stream(_ turn: Turn, _ purpose: String = "turn") -> ChoiceStream {
    choices.stream("\(purpose)/\(turn.who)/\(turn.phase)/\(turn.at.nanoseconds / 1_000_000)")
  }

  /// Notes the action of the current turn.
  func took(_ action: String) { records[current].action = action }

  /// Ends the current turn, when nothing of it is under way any more.
  func end(_ environment: Environment) async throws {
    let noticed = rendezvous.map(\.noticedAt).max() ?? 0
    try await environment.clock.sleep(for: .nanoseconds(max(0, noticed - log.time)) + Self.settling)
    records[current].end = log.next()
    if let time = interlude(current) {
      try await environment.clock.sleep(for: Self.look)
      while !isReady() { try await environment.clock.sleep(for: Self.look) }
      try await environment.clock.sleep(for: time + Self.settling)
    }
    // Others look at whole seconds.
    try await sleep(to: Self.beat, environment)
    try await environment.clock.sleep(for: Self.look / 2)
    current += 1
  }

  private func sleep(to beat: Duration, _ environment: Environment) async throws {
    let rest = now.nanoseconds % beat.nanoseconds
    try await environment.clock.sleep(for: .nanoseconds(beat.nanoseconds - rest))
  }
}

extension UserGroup {
  /// Whether users take actions that no script names.
  var actsAtRandom: Bool { role == .account ? !actions.isEmpty : role == .chat && !chatActions.isEmpty }
}
