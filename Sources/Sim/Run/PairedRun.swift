import Simulation
import System

/// Two runs of one script in worlds that differ by one relation. Their clients have to come to the
/// same end.
extension ScenarioRunner {
  /// Runs the scenario, and runs it again in the other world. A trace is that of the second run.
  func runTwice(_ relation: WorldRelation, in other: Scenario, seed: UInt64, _ options: RunOptions) -> RunResult {
    var quiet = options
    quiet.sink = nil
    let first = outcome(seed: seed, quiet)
    let second = ScenarioRunner(other).outcome(seed: seed, options)
    var violations = first.result.violations
    violations += second.result.violations.map {
      Violation(
        oracle: $0.oracle, promise: $0.promise,
        events: ["in the second run, with \(relation.sentence):"] + $0.events)
    }
    // Without the end of one of them there is nothing to compare.
    if violations.isEmpty, let one = first.story, let two = second.story,
      let difference = ClientStory.difference(one, two, relation)
    {
      violations = RunOracles.sameEnd.violations(in: Evidence(run: RunEvidence(differences: [difference])))
    }
    return first.result.joined(with: second.result, violations: violations, acts: first.acts)
  }
}

/// A run with what only a comparison needs.
struct RunOutcome {
  let result: RunResult
  let acts: [Act]
  /// What clients saw by turns; nil unless users act in turns.
  let story: ClientStory?
}

extension RunResult {
  /// The two runs of a pair as one.
  fileprivate func joined(with other: RunResult, violations: [Violation], acts: [Act]) -> RunResult {
    var draws = Dictionary(uniqueKeysWithValues: draws.map { ($0.stream, $0.count) })
    for (stream, count) in other.draws { draws[stream] = max(count, draws[stream] ?? 0) }
    let known = Set(orderings)
    return RunResult(
      seed: seed, hash: (hash &* 0x9FB2_1C65_1E98_DF25) ^ other.hash, violations: violations,
      counts: counts.merging(other.counts, uniquingKeysWith: +), strikes: strikes, steps: steps + other.steps,
      simulated: simulated + other.simulated,
      orderings: orderings + other.orderings.filter { !known.contains($0) },
      draws: draws.sorted { $0.key < $1.key }.map { ($0.key, $0.value) },
      acts: violations.isEmpty ? [] : acts, struck: struck)
  }
}
