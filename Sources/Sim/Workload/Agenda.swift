import Environment
import Simulation
import System

/// What somebody does, and when: as chance says, with its weights and pauses, and as the script says.
///
/// A step of the script is done at its time, or as soon as what was begun before is done.
struct Agenda<Action: RawRepresentable & Sendable>: Sendable where Action.RawValue == String {
  /// What chance picks from; empty for somebody who does only what the script says.
  let weights: [(action: Action, weight: Int)]
  /// Mean time between two actions of chance.
  let thinkTime: Duration
  /// How long there is something to do.
  let run: Duration
  /// The steps of the script that are still to come, in order of time.
  private(set) var script: [(at: Duration, action: Action, to: String?)]
  /// Towards whom the last action is, when the script says so.
  private(set) var target: String?
  private let name: String

  init(
    of name: String, weights: [(action: Action, weight: Int)], thinkTime: Duration, scenario: Scenario
  ) {
    self.name = name
    self.weights = weights
    self.thinkTime = thinkTime
    run = scenario.run
    script = scenario.script.filter { $0.who == name }
      .compactMap { step in Action(rawValue: step.action).map { (step.at, $0, step.to) } }
      .sorted { $0.at < $1.at }
  }

  /// Waits for the next action; nil once the day is over, which began at `begin`. What is done is written down.
  mutating func next(
    since begin: Instant, _ stream: ChoiceStream, _ tally: Tally, _ environment: Environment
  ) async throws -> Action? {
    target = nil
    let end = begin + run
    let now = environment.clock.now
    let pause = weights.isEmpty ? end : min(end, now + stream.exponential(mean: thinkTime))
    let scripted = script.first.flatMap { begin + $0.at < end ? begin + $0.at : nil }
    let time = max(now, min(pause, scripted ?? pause))
    if time > now { try await environment.clock.sleep(until: time) }
    let action: Action
    if let scripted, scripted <= time {
      let step = script.removeFirst()
      (action, target) = (step.action, step.to)
    } else if time < end, !weights.isEmpty {
      action = weights[stream.weighted(weights.map(\.weight))].action
    } else {
      return nil
    }
    tally.did(name, action.rawValue, to: target, after: environment.clock.now - begin)
    return action
  }
}
