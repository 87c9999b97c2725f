@testable import Environment
import System
import Testing

@testable import Sim

@Suite("Orderings, windows of choices and shrinking")
struct SearchTests {
  @Test("an ordering is an event and another within half a second after it")
  func orderings() {
    var orderings = Orderings()
    orderings.note("a", at: 0)
    orderings.note("b", at: 100_000_000)
    orderings.note("c", at: 700_000_000)
    orderings.note("b", at: 900_000_000)
    orderings.note("b", at: 950_000_000)
    #expect(orderings.pairs == [.init("a", "b"), .init("c", "b")])
    #expect(orderings.pairs[0].reversed == .init("b", "a"))
  }

  private func scenario(_ more: String) throws -> Scenario {
    try Scenario(
      parsing: Array("{ name: 'x', run: '5s', people: [{ name: 'ann', count: 2, thinkTime: '200ms' }] \(more) }".utf8),
      file: "x")
  }

  @Test("a scenario fails if no seed shows an order that it demands")
  func sometimes() throws {
    func unreached(_ more: String) throws -> [String] {
      let scenario = try scenario(more)
      var summary = ScenarioSummary(scenario)
      for seed in 1...3 as ClosedRange<UInt64> { summary.add(ScenarioRunner(scenario).run(seed: seed)) }
      return summary.unreached
    }
    #expect(try unreached(", sometimes: ['requests, successes']").isEmpty)
    let missing = try unreached(", sometimes: ['requests, successes', 'takeovers, successes']")
    #expect(missing == ["\"successes\" never came soon after \"takeovers\""])
    let faults = ", faults: [{ at: '2s', crash: 'users', restartAfter: '10ms' }]"
    #expect(try unreached(", sometimes: ['crash users, requests']" + faults).isEmpty)
  }

  @Test("a scenario fails if no seed finds its planted bug")
  func planted() throws {
    func missed(_ plant: String, _ oracle: String) throws -> String? {
      let scenario = try scenario(", plant: ['\(plant)'], fails: ['\(oracle)']")
      var summary = ScenarioSummary(scenario)
      for seed in 1...3 as ClosedRange<UInt64> { summary.add(ScenarioRunner(scenario).run(seed: seed)) }
      #expect(summary.failures.isEmpty && summary.unreached.isEmpty)
      #expect(summary.failed == (summary.missedBug == nil ? 0 : 1))
      return summary.missedBug
    }
    #expect(try missed("users.fails", "no-unexplained-5xx") == nil)
    #expect(try missed("users.fails", "unique") == "none of the oracles unique has found the planted bug")
    #expect { try missed("users.fials", "unique") } throws: { "\($0)".contains("did you mean \"users.fails\"") }
    for name in Scenario.UnknownBug.known {
      var settings = Scenario.ServiceSettings()
      #expect(throws: Never.self) { try settings.plant(name) }
    }
  }

  /// A failed run with its draws, actions and strikes.
  private func run(
    draws: [(stream: String, count: Int)], acts: [Act] = [], struck: [(fault: Int, at: Duration)] = [],
    seed: UInt64 = 7, steps: Int = 0, simulated: Duration = .zero
  ) -> RunResult {
    RunResult(
      seed: seed, hash: 0, violations: [], counts: [:], strikes: [], steps: steps, simulated: simulated, orderings: [],
      draws: draws, acts: acts, struck: struck)
  }

  @Test("shrinking keeps only the parts and the choices that the failure needs")
  func shrinking() {
    let whole: JSONValue = [
      "name": "x", "run": "40s", "people": [["name": "ann", "count": 6], ["name": "bob", "count": 2]],
      "faults": [
        ["crash": "users", "from": "4s", "every": "5s"], ["reset": "users", "at": "9s"],
        ["pause": "users", "at": "20s"],
      ],
    ]
    // Fails while there is a user and the reset, and needs the draws 40 to 60 of the stream
    // "network".
    var tries = 0
    func fails(_ scenario: JSONValue) -> Bool {
      tries += 1
      guard (scenario["faults"]?.array ?? []).contains(where: { $0["reset"] != nil }) else { return false }
      guard let window = scenario["choices"]?["network"]?.array else { return true }
      return window[0].int! <= 40 && window[1].int! >= 60
    }
    let failed = run(draws: [(stream: "network", count: 640), (stream: "disk/users", count: 100)])
    var shrinker = Shrinker(.init(scenario: whole, run: failed), oracle: "unique", isOver: { tries > 2000 }) {
      candidates in
      candidates.firstIndex { fails($0.scenario) }.map {
        ($0, Shrinker.Failing(scenario: candidates[$0].scenario, run: failed))
      }
    }
    shrinker.run()
    let best = shrinker.best.scenario
    #expect(best["faults"]?.array?.count == 1 && best["faults"]?.array?[0]["reset"] != nil)
    #expect(best["people"]?.array?.count == 1 && (best["people"]?.array?[0]["count"]?.int ?? 1) == 1)
    #expect(best["people"]?.array?[0]["rest"] == "100ms")
    #expect(best["choices"]?["disk/users"] == [0, 0])
    let window = best["choices"]!["network"]!.array!.map { $0.int! }
    #expect(window[0] <= 40 && window[1] >= 60 && window[1] - window[0] <= 80)
  }

  @Test("random actions are written out as exact steps, and cut down to those that matter")
  func exactSteps() throws {
    let whole: JSONValue = [
      "name": "x", "run": "20s", "people": [["name": "ann", "count": 3, "thinkTime": "1s"]],
      "faults": [["crash": "users", "from": "2s", "every": "4s"]],
    ]
    /// A run of the scenario: each user acts in turn, and one fault strikes.
    func failing(_ scenario: JSONValue) -> Shrinker.Failing {
      let count = Int(scenario["people"]!.array![0]["count"]?.int ?? 1)
      let acts = (0..<24).map { index in
        Act(
          at: .milliseconds(3 * index), who: count == 1 ? "ann" : "ann-\(index % count + 1)",
          action: index == 16 ? "refresh" : "login")
      }
      return .init(scenario: scenario, run: run(draws: [], acts: acts, struck: [(0, .milliseconds(70))]))
    }
    // Fails while a user refreshes, at random or by the script, and a node crashes.
    func fails(_ scenario: JSONValue) -> Bool {
      let isByChance = scenario["people"]!.array!.contains { $0["actions"] != .object([]) }
      let steps = scenario["script"]?.array ?? []
      guard isByChance || steps.contains(where: { $0["does"] == "refresh" }) else { return false }
      return !(scenario["faults"]?.array ?? []).isEmpty
    }
    var tries = 0
    var shrinker = Shrinker(failing(whole), oracle: "unique", isOver: { tries > 3000 }) { candidates in
      tries += candidates.count
      return candidates.firstIndex { fails($0.scenario) }.map { ($0, failing(candidates[$0].scenario)) }
    }
    shrinker.run()
    let best = shrinker.best.scenario
    let script = best["script"]!.array!
    #expect(script.count == 1 && script[0]["does"] == "refresh" && script[0]["who"] == "ann")
    #expect(best["people"]?.array?.count == 1 && best["people"]?.array?[0]["actions"] == .object([]))
    #expect(best["faults"]?.array?.count == 1 && best["faults"]?.array?[0]["at"] != nil)
    let seconds = DurationText.parse(best["run"]!.string!)!.inSeconds
    #expect(seconds <= 2)
    _ = try Scenario(parsing: Array(best.pretty().utf8), file: "x")
  }

  @Test("a rare failure is looked for with other seeds in much smaller scenarios")
  func leaps() throws {
    let whole: JSONValue = [
      "name": "x", "run": "40s", "people": [["name": "ann", "count": 8], ["name": "bob", "count": 3]],
      "topology": ["supervisorHosts": 3],
      "faults": [
        ["crash": "users", "at": "4s"], ["reset": "supervisor-3", "at": "30s"], ["pause": "users", "at": "20s"],
      ],
    ]
    var tries = 0
    // Any change gives another run, which fails for one seed in ten while the reset is there.
    var shrinker = Shrinker(
      .init(scenario: whole, run: run(draws: [])), oracle: "unique", isOver: { tries > 30 }
    ) { candidates in
      for index in candidates.indices {
        tries += 1
        let candidate = candidates[index]
        let hasReset = (candidate.scenario["faults"]?.array ?? []).contains { $0["reset"] != nil }
        guard hasReset, candidate.seeds.contains(where: { $0 % 10 == 3 }) else { continue }
        return (index, .init(scenario: candidate.scenario, run: run(draws: [])))
      }
      return nil
    }
    shrinker.run()
    let best = shrinker.best.scenario
    #expect(best["faults"] == [["reset": "supervisor-1", "at": "750ms"]])
    #expect(best["people"]?.array?.map { $0["count"] } == [1, 1] && best["topology"]?["supervisorHosts"] == 1)
    #expect(best["run"] == "1s")
    _ = try Scenario(parsing: Array(best.pretty().utf8), file: "x")
  }

  @Test("a smaller scenario with more steps does not count, and other seeds are tried")
  func steps() {
    let whole: JSONValue = ["name": "x", "run": "1s", "people": [["name": "ann", "count": 2]]]
    func steps(_ scenario: JSONValue, _ seed: UInt64) -> Int {
      // One user alone takes more steps; a few other seeds take fewer.
      (scenario["people"]?.array?[0]["count"] == 1 ? 5000 : 1000) - (seed % 40 == 3 ? 300 : 0)
    }
    var asked: Set<Int> = []
    var shrinker = Shrinker(
      .init(scenario: whole, run: run(draws: [], steps: 1000, simulated: .seconds(1801))), oracle: "live",
      isOver: { false }
    ) { candidates in
      for index in candidates.indices {
        let candidate = candidates[index]
        asked.insert(candidate.maximumSteps)
        for seed in candidate.seeds where steps(candidate.scenario, seed) <= candidate.maximumSteps {
          let result = run(
            draws: [], seed: seed, steps: steps(candidate.scenario, seed), simulated: .seconds(1801))
          return (index, .init(scenario: candidate.scenario, run: result))
        }
      }
      return nil
    }
    shrinker.run()
    #expect(shrinker.best.scenario["people"]?.array?[0]["count"] == 2)
    #expect(shrinker.best.run.steps == 700 && asked.contains(1125))
    // A grace of a minute shows the same as half an hour.
    #expect(shrinker.best.scenario["grace"] == "1m")
  }

  @Test("the shrunk scenario fails with the whole grace too, and that is checked even when the time is over")
  func patience() {
    let whole: JSONValue = ["name": "x", "run": "1s", "people": [["name": "ann", "count": 4]]]
    func shrunk(tries most: Int, smallestThatLasts: Int64) -> JSONValue {
      var tries = 0
      let failing = run(draws: [], steps: 1000, simulated: .seconds(1801))
      var shrinker = Shrinker(.init(scenario: whole, run: failing), oracle: "live", isOver: { tries >= most }) {
        candidates in
        tries += candidates.count
        return candidates.indices.first {
          guard candidates[$0].maximumSteps >= failing.steps else { return false }
          let scenario = candidates[$0].scenario
          return scenario["grace"] == "1m" || (scenario["people"]?.array?[0]["count"]?.int ?? 1) >= smallestThatLasts
        }.map { ($0, .init(scenario: candidates[$0].scenario, run: failing)) }
      }
      shrinker.run()
      return shrinker.best.scenario
    }
    func count(_ scenario: JSONValue) -> Int64 { scenario["people"]?.array?[0]["count"]?.int ?? 1 }
    let alone = shrunk(tries: 500, smallestThatLasts: 1)
    #expect(count(alone) == 1 && alone["grace"] == "1m")
    let several = shrunk(tries: 500, smallestThatLasts: 3)
    #expect(count(several) == 3 && several["grace"] == "1m")
    let interrupted = shrunk(tries: 20, smallestThatLasts: 3)
    #expect(count(interrupted) == 4 && interrupted["grace"] == "1m")
  }

  @Test("a shrunk run ends when the promise is broken, and no later promise is judged")
  func ends() throws {
    let whole: JSONValue = ["name": "x", "run": "5s", "people": [["name": "ann", "rest": "100ms"]]]
    func failing(_ oracle: String) -> JSONValue {
      var shrinker = Shrinker(
        .init(scenario: whole, run: run(draws: [], steps: 100, simulated: .seconds(10))), oracle: oracle,
        isOver: { false }
      ) { candidates in
        // No other change helps.
        candidates.firstIndex {
          guard let end = $0.scenario["end"]?.string.flatMap(DurationText.parse) else { return false }
          return end >= .seconds(3) && $0.scenario["run"] == "5s"
        }.map { ($0, .init(scenario: candidates[$0].scenario, run: run(draws: [], steps: 90, simulated: .seconds(3)))) }
      }
      shrinker.run()
      return shrinker.best.scenario
    }
    let end = try #require(failing("unique")["end"]?.string.flatMap(DurationText.parse))
    #expect(end >= .seconds(3) && end < .milliseconds(3300))
    #expect(failing("present")["end"] == nil)

    let cut = try scenario(", end: '1500ms'")
    let result = ScenarioRunner(cut).run(seed: 1)
    #expect(result.violations.isEmpty && result.simulated == .milliseconds(1500))
    let late = try scenario(", end: '5100ms', faults: [{ at: '4s', crash: 'users', restartAfter: '1m' }]")
    #expect(ScenarioRunner(late).run(seed: 1).violations.isEmpty)
  }

  @Test("the last fault and the last step are removed if the failure needs none")
  func nothingLeft() {
    let whole: JSONValue = [
      "name": "x", "run": "1s", "people": [["name": "ann", "actions": .object([])]],
      "script": [["at": "100ms", "who": "ann", "does": "login"]], "faults": [["reset": "users", "at": "500ms"]],
    ]
    var tries = 0
    var shrinker = Shrinker(
      .init(scenario: whole, run: run(draws: [])), oracle: "unique", isOver: { tries > 500 }
    ) { candidates in
      tries += 1
      return (candidates.startIndex, .init(scenario: candidates.first!.scenario, run: run(draws: [])))
    }
    shrinker.run()
    #expect(shrinker.best.scenario["faults"] == nil && shrinker.best.scenario["script"] == nil)
  }

  @Test("users of every role follow their script")
  func scripts() throws {
    let scenario = try Scenario(
      parsing: Array(
        """
        { name: 'x', run: '6s', topology: { supervisorHosts: 1 }, service: { pingInterval: '2s', pingTimeout: '2s' },
          people: [{ name: 'cora', role: 'customer', actions: {} }, { name: 'ann', role: 'user', actions: {} },
                   { name: 'bob', role: 'chat', count: 2, actions: {} }, { name: 'eve', actions: {} }],
          script: [{ at: '3s', who: 'cora', does: 'say' }, { at: '4s', who: 'ann', does: 'say' },
                   { at: '5s', who: 'bob-1', does: 'send-direct' }, { at: '1s', who: 'eve', does: 'register' }],
          expect: { messages: 3, "messages-stored": 4 } }
        """.utf8), file: "x")
    var summary = ScenarioSummary(scenario)
    for seed in 1...3 as ClosedRange<UInt64> { summary.add(ScenarioRunner(scenario).run(seed: seed)) }
    #expect(summary.failures.isEmpty && summary.unreached.isEmpty, "\(summary.unreached)")
    #expect {
      try Scenario(
        parsing: Array(
          "{ name: 'x', people: [{ name: 'ann' }], script: [{ at: '1s', who: 'ann', does: 'send-direct' }] }".utf8),
        file: "x")
    } throws: {
      "\($0)".contains("send-direct")
    }
  }

  @Test("all schedules of a small scenario run, up to a limit, and keep their promises")
  func explore() throws {
    let runner = ScenarioRunner(
      try Scenario(
        parsing: Array("{ name: 'x', run: '1s', people: [{ name: 'ann', count: 2, actions: {} }] }".utf8),
        file: "x"))
    var runs = 0
    let search = runner.explore(seed: 1, preemptions: 1, limit: 12) { _, result in
      runs += 1
      return result.violations.isEmpty
    }
    #expect(search.schedules == 12 && !search.isCovered && runs == 12)
    let first = runner.explore(seed: 1, preemptions: 1, limit: 12) { number, _ in number < 5 }
    #expect(first.schedules == 5 && !first.isCovered)
  }
}
