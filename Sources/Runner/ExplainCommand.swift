import Glibc
import Sim
import System

/// `parley explain`: replays a run and tells what it broke, in words and as a space-time diagram.
enum ExplainCommand {
  static let usage = """
    parley explain SCENARIO [FLAGS]

    Replays a scenario with one seed, and tells the story of the first promise that was broken: what was promised, and what happened, one
    sentence each, in the order of time. It writes the run as a space-time diagram, one HTML file without outside assets. Without
    --seed it takes the scenario's own, or the first from 1 to 200 that fails.
    """

  static let flags = [
    Flag(name: "seed", placeholder: "N", help: "the seed to replay"),
    Flag(
      name: "strategy", placeholder: "S", help: StrategyName.list + "; without one the scenario's own, or random"),
    Flag(name: "html", placeholder: "FILE", help: "where the diagram is written; explained.html without it"),
  ]

  /// Seeds that are looked through for one that fails.
  private static let searched: ClosedRange<UInt64> = 1...200

  static func run(_ words: [String]) throws(UsageError) -> Int32 {
    let arguments = try Arguments(words, flags: flags)
    guard arguments.words.count == 1 else { throw UsageError("one scenario: parley explain FILE") }
    let (_, scenario) = try ScenarioFiles.read(arguments.words[0])
    let strategy = try arguments.strategy()
    let asked = try arguments.int("seed", in: 0...Int.max).map { UInt64($0) } ?? scenario.seed
    let runner = ScenarioRunner(scenario)
    let failing = asked ?? searched.first { !runner.run(seed: $0, RunOptions(strategy: strategy)).violations.isEmpty }
    let seed = failing ?? 1
    let record = RunRecord()
    let result = runner.run(seed: seed, RunOptions(strategy: strategy) { record.note($0) })
    let story = result.violations.first.map { Story($0, record, acts: result.acts) }
    let page = arguments.value("html") ?? "explained.html"
    TextFile.write(DiagramPage.text(scenario, seed: seed, story, record), to: page)
    print("\(scenario.name), seed \(seed)\n")
    if let story {
      print(story.text)
      for other in result.violations.dropFirst() { print("\nAlso broken (\(other.oracle)): \(other.promise).") }
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
}
