import Environment
import Simulation
import System

/// The actions of a user: those of chance, with its weights and pauses, those of bursts, and those
/// of the script.
///
/// A step of the script is taken at its time, or as soon as the action before it has ended. So is
/// the first action of a burst, which the others follow at once.
struct Agenda<Action: RawRepresentable & Sendable> where Action.RawValue == String {
  /// How long the user acts.
  let run: Duration
  /// The target of the last action; nil unless the script names one.
  private(set) var target: String?
  /// Empty for a user who follows only the script.
  private let weights: [(action: Action, weight: Int)]
  /// The remaining steps of the script, in order of time.
  private var script: [(at: Duration, action: Action, to: String?)]
  private let user: UserState
  /// The time of the next burst; nil without bursts.
  private var nextBurst: Duration?
  /// The actions of a burst that are still to come.
  private var hurried = 0
  /// Whether the user is in the middle of its turn.
  private var isActing = false

  init(of user: UserState, weights: [(action: Action, weight: Int)], in scenario: Scenario) {
    self.user = user
    self.weights = weights
    run = scenario.run
    script = scenario.script.filter { $0.who == user.name }
      .compactMap { step in Action(rawValue: step.action).map { (step.at, $0, step.to) } }
      .sorted { $0.at < $1.at }
    nextBurst = weights.isEmpty ? nil : user.behavior.bursts?.every
  }

  /// Waits for the next action and adds it to the tally; nil when the run is over, which began at
  /// `begin`.
  mutating func next(since begin: Instant, _ environment: Environment) async throws -> Action? {
    target = nil
    if let turns = user.turns { return try await nextTurn(turns, environment) }
    let end = begin + run
    let now = environment.clock.now
    let pause = pause(until: end, begin, now)
    let scripted = script.first.flatMap { begin + $0.at < end ? begin + $0.at : nil }
    let time = max(now, min(pause, scripted ?? pause))
    if time > now { try await environment.clock.sleep(until: time) }
    let action: Action
    if let scripted, scripted <= time {
      let step = script.removeFirst()
      (action, target) = (step.action, step.to)
    } else if time < end, !weights.isEmpty {
      hurry(at: time - begin)
      action = weights[user.stream.weighted(weights.map(\.weight))].action
    } else {
      return nil
    }
    user.tally.did(user.name, action.rawValue, to: target, after: environment.clock.now - begin)
    return action
  }

  /// The time of the next action of chance.
  private func pause(until end: Instant, _ begin: Instant, _ now: Instant) -> Instant {
    if weights.isEmpty { return end }
    if hurried > 0 { return now }
    let pause = min(end, now + user.stream.exponential(mean: user.behavior.thinkTime))
    return nextBurst.map { min(pause, begin + $0) } ?? pause
  }

  /// Notes an action of chance at a time since the start: one of a burst if one has begun.
  private mutating func hurry(at time: Duration) {
    if hurried > 0 {
      hurried -= 1
    } else if let bursts = user.behavior.bursts, let burst = nextBurst, burst <= time {
      // A user who was busy for longer misses bursts.
      nextBurst = bursts.every * (time.nanoseconds / bursts.every.nanoseconds + 1)
      hurried = bursts.actions - 1
      user.tally.count(.bursts)
    }
  }

  /// Ends the user's turn, and waits for the next one; nil if no turn is left.
  private mutating func nextTurn(_ turns: Turns, _ environment: Environment) async throws -> Action? {
    if isActing {
      isActing = false
      try await turns.end(environment)
    }
    guard let turn = try await turns.wait(for: .act, user.name, environment) else { return nil }
    isActing = true
    user.begin(turn)
    // Drawn apart, so that the turn is the same if a script names the action.
    let action =
      turn.action.flatMap { Action(rawValue: $0) }
      ?? weights[turns.stream(turn, "action").weighted(weights.map(\.weight))].action
    target = turn.to
    turns.took(action.rawValue)
    if !user.isBystander { user.tally.did(user.name, action.rawValue, to: target, after: turn.at) }
    return action
  }
}
