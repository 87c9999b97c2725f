import Simulation
import Glibc
import Sim
import System

/// `parley explain`: replays a run and reports the failure in words and as a space-time diagram.
///
/// Runs the scenario in a child process that reports each event at once. A run that kills its
/// process can therefore be explained, too.
enum ExplainCommand {
  static let usage = """
    parley explain SCENARIO [FLAGS]

    Replays a scenario with one seed and explains the first broken promise: the promise, and the events that
    broke it, one sentence each, in the order of time. Writes the run as a space-time diagram, an HTML file
    without external resources. Without --seed it uses the scenario's own seed, or the first from 1 to 200
    that fails.

    Then continues the run from up to 30 of its steps, with other seeds for all later choices, 64 times each,
    and says when the failure became inevitable: where the chance of failing rises most.
    """

  static let flags = [
    Flag(name: "seed", placeholder: "N", help: "the seed to replay"),
    Flag(
      name: "strategy", placeholder: "S", help: StrategyName.list + "; default: the scenario's own, or random"),
    Flag(name: "html", placeholder: "FILE", help: "file of the diagram; default explained.html"),
    Flag(
      name: "time", placeholder: "TIME",
      help: "maximum time to find when the failure became inevitable; default 20s"),
    Flag(
      name: "why", placeholder: nil,
      help: "compare the failing with the passing runs of many seeds: which orderings, events and faults separate them"),
    Flag(name: "seeds", placeholder: "A...B", help: "the seeds that --why compares; default 1...500"),
    Flag(name: "quick", placeholder: nil, help: "do not find when the failure became inevitable"),
  ]

  /// Number of seeds that are searched for a failure.
  static let searched: ClosedRange<UInt64> = 1...200

  static func run(_ words: [String]) throws(UsageError) -> Int32 {
    let arguments = try Arguments(words, flags: flags)
    let (json, scenario) = try ScenarioFiles.readOne(arguments, for: .explain)
    if arguments.has("why") { return try WhyReport.run(json, scenario, arguments) }
    if arguments.has("seeds") { throw UsageError("--seeds requires --why") }
    let known = try arguments.seed() ?? scenario.seed
    let replay = try Replay()
    let failing = known == nil ? try replay.firstFailing(json, searched) : known
    let seed = failing ?? 1
    let record = RunRecord()
    let run = try replay.run(json, seed: seed, record)
    let story = run.violations.first.map { Story($0, record, acts: run.acts) }
    let limit = try arguments.time("time") ?? .seconds(20)
    let asked = arguments.has("quick") ? nil : run.violations.first
    let estimate = asked.map { chances(json, seed: seed, run, $0, limit, record) }
    let page = arguments.value("html") ?? "explained.html"
    try OutputFile.write(DiagramPage.text(scenario, seed: seed, story, estimate?.estimate, record), to: page)
    print("\(scenario.name), seed \(seed)\n")
    if let story {
      print(story.text)
      if let estimate { print("\nWhen it became inevitable:\n\(estimate.text)") }
      for other in run.violations.dropFirst() { print("\nAlso broken (\(other.oracle)): \(other.promise).") }
    } else if failing == nil {
      print(
        "No promise was broken with the seeds \(searched.lowerBound) to \(searched.upperBound). The diagram shows seed 1."
      )
    } else {
      print("No promise was broken in this run.")
    }
    print("\nThe run as a diagram: \(page)")
    return 0
  }

  /// Estimates the chance of failing over a run that failed.
  private static func chances(
    _ json: JSONValue, seed: UInt64, _ run: Replay.Run, _ violation: Violation, _ limit: Duration, _ record: RunRecord
  ) -> (estimate: Estimate, text: String) {
    // Continuations that die need no backtrace.
    unsetenv("SWIFT_BACKTRACE")
    let continuations = Continuations(json, seed: seed, steps: run.steps, oracle: violation.oracle, limit: limit)
    continuations.run()
    let likelihood = continuations.likelihood
    let estimate = Estimate(likelihood, record)
    let moment =
      estimate.moment?.text
      ?? "The chance of failing rises at no step by much. It is \(likelihood.base) from the start."
    let end = continuations.isCutShort ? "; the time was up" : ""
    return (
      estimate,
      """
      \(moment)
      The chance of failing over the run, by \(continuations.runs) continuations after \(likelihood.points.count) steps\(end):
      \(likelihood.plot())
      """
    )
  }
}
