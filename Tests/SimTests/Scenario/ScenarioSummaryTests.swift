import System
import Testing

@testable import Sim

@Suite("Many runs of a scenario together")
struct ScenarioSummaryTests {
  private func scenario(_ more: String) throws -> Scenario {
    let text = "{ name: 'x', run: '2s', people: [{ name: 'a', thinkTime: '1s' }], \(more) }"
    return try Scenario(parsing: Array(text.utf8), file: "f")
  }

  /// A run with only these counts.
  private func run(_ seed: UInt64, _ counts: [Counter: Int], violations: [Violation] = []) -> RunResult {
    RunResult(
      seed: seed, hash: 0, violations: violations, counts: counts, strikes: [], steps: 0, simulated: .zero,
      orderings: [], draws: [], acts: [], struck: [])
  }

  @Test(
    "an expectation is for ten seeds, scales with more, and is not judged with fewer",
    arguments: [
      (runs: 1, each: 0, isJudged: false, least: 7), (9, 0, false, 7), (10, 0, true, 7), (10, 1, true, nil),
      (15, 0, true, 10), (200, 0, true, 140), (200, 1, true, nil),
    ] as [(runs: Int, each: Int, isJudged: Bool, least: Int?)])
  func scales(runs: Int, each: Int, isJudged: Bool, least: Int?) throws {
    var summary = ScenarioSummary(try scenario("expect: { requests: 7 }"))
    for seed in 1...UInt64(runs) { summary.add(run(seed, [.requests: each])) }
    #expect(summary.isJudged == isJudged)
    #expect(summary.unreached == (least.map { ["requests: 0, expected at least \($0)"] } ?? []))
    #expect(summary.failed == 0)
  }

  @Test(
    "with 100 runs or more, a goal that ten other seeds may miss is reported",
    arguments: [
      (runs: 100, every: 10, counts: 9, least: 1, isChancy: true), (99, 10, 9, 1, false), (100, 1, 1, 10, false),
      (100, 10, 9, 9, true), (1_000, 2, 2, 1, true), (1_000, 2, 20, 18, true), (100, 1, 3, 29, false),
    ] as [(runs: Int, every: Int, counts: Int, least: Int, isChancy: Bool)])
  func chance(runs: Int, every: Int, counts: Int, least: Int, isChancy: Bool) throws {
    var summary = ScenarioSummary(try scenario("expect: { requests: \(least) }"))
    for seed in 1...runs { summary.add(run(UInt64(seed), [.requests: seed % every == 0 ? counts : 0])) }
    #expect(summary.unreached.isEmpty)
    #expect(summary.chancy.isEmpty != isChancy, "\(summary.chancy)")
  }

  @Test("a fault that rarely strikes is reported")
  func rareFault() throws {
    let scenario = try scenario("faults: [{ from: '1s', every: '5s', pause: 'users' }]")
    var summary = ScenarioSummary(scenario)
    for seed in 1...UInt64(ScenarioSummary.marginSeeds) { summary.add(ScenarioRunner(scenario).run(seed: seed)) }
    #expect(summary.unreached.isEmpty && summary.chancy.count == 1, "\(summary.chancy)")
  }

  @Test("a fault that never struck and an order that was never seen are not reached")
  func unreached() throws {
    let scenario = try scenario(
      """
      faults: [{ at: '1s', skew: 'users', by: '1s' }, { from: '1s', every: '1000s', pause: 'users' }],
      sometimes: ['pause users, requests'], expect: { crashes: 1, requests: 1 }
      """)
    var summary = ScenarioSummary(scenario)
    summary.add(ScenarioRunner(scenario).run(seed: 1))
    #expect(
      summary.unreached == [
        "fault 2 never struck: users is paused for a while", "crashes: 0, expected at least 1",
        "\"requests\" never came soon after \"pause users\"",
      ])
  }

  @Test("a scenario with only its own seed is a recording or the lesson of a planted bug")
  func ownSeed() throws {
    #expect(try scenario("seed: 3, choices: { network: [0, 0] }").hasOneSeed)
    #expect(try scenario("seed: 3, plant: ['users.fails'], fails: ['unique']").hasOneSeed)
    #expect(try !scenario("seed: 3").hasOneSeed)
    #expect(try !scenario("plant: ['users.fails'], fails: ['unique']").hasOneSeed)
  }

  @Test("failures that break the same promises in the same way have one cause")
  func causes() {
    func cause(_ oracle: String, _ event: String) -> String {
      run(1, [:], violations: [Violation(oracle: oracle, promise: "p", events: [event, "\(event.count) more"])]).cause
    }
    let one = cause("transcript", "1.204s ann-1: \"ann-1/7\" to users 1 and 3 → 500, {\"LIST\":[1,2]}")
    #expect(one == cause("transcript", "13.001s ann-22: \"ann-22/1\" to users 1 and 30 → 500, {\"LIST\":[1,2,33,4]}"))
    #expect(one != cause("complete", "1.204s ann-1: \"ann-1/7\" to users 1 and 3 → 500, {\"LIST\":[1,2]}"))
    #expect(one != cause("transcript", "1.204s ann-1: \"ann-1/7\" to users 1 and 3 → 503, {\"LIST\":[1,2]}"))
    #expect(one != cause("transcript", "1.204s ann-1: \"ann-1/7\" to group 1 → 500, {\"LIST\":[1,2]}"))
  }
}
