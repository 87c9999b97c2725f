import Simulation
import System
import Testing

@testable import Sim

@Suite("The same script in two worlds")
struct PairTests {
  private static func scenario(_ text: String) throws -> Scenario {
    try Scenario(parsing: Array(text.utf8), file: "test")
  }

  private static let relations = [
    "{ relation: 'network', network: { latency: '1ms…20ms', splits: 0.9, stalls: 0.01, stall: '200ms…800ms' } }",
    "{ relation: 'restart' }", "{ relation: 'restart', every: 3, power: true }", "{ relation: 'bystanders' }",
    "{ relation: 'database' }", "{ relation: 'tls' }",
  ]

  private static func chat(_ again: String, plant: String = "") -> String {
    """
    { name: "x", topology: { chat: 1 }, turns: 12, again: \(again), plant: [\(plant)],
      people: [{ name: "ann", role: "chat", count: 3, devices: 2 }] }
    """
  }

  private static func accounts(_ again: String, database: String = "sqlite", plant: String = "") -> String {
    """
    { name: "x", topology: { database: "\(database)" }, turns: 15, again: \(again), plant: [\(plant)],
      people: [{ name: "ann", count: 3, sharedSessions: 6 }] }
    """
  }

  @Test("clients cannot tell two worlds apart", arguments: relations, [1, 2] as [UInt64])
  func same(again: String, seed: UInt64) throws {
    for text in [Self.chat(again), Self.accounts(again)] {
      let result = ScenarioRunner(try Self.scenario(text)).run(seed: seed)
      #expect(result.violations.isEmpty, "\(result.violations)")
    }
  }

  @Test("one node and several nodes come to the same end")
  func nodes() throws {
    let text = """
      { name: "x", topology: { chat: 1, database: "postgresql" }, turns: 12,
        again: { relation: "nodes", users: 2, chat: 3 }, people: [{ name: "ann", role: "chat", count: 3 }] }
      """
    let result = ScenarioRunner(try Self.scenario(text)).run(seed: 1)
    #expect(result.violations.isEmpty, "\(result.violations)")
  }

  @Test(
    "a pair finds what no oracle judges",
    arguments: [
      // What only memory holds, and what another database orders in another way.
      chat("{ relation: 'restart' }", plant: "'chat.forgetsSenders'"),
      accounts("{ relation: 'database' }", plant: "'users.listsSessionsByID'"),
    ])
  func planted(text: String) throws {
    let scenario = try Self.scenario(text)
    var others: Set<String> = []
    for seed in 1...20 as ClosedRange<UInt64> {
      let oracles = Set(ScenarioRunner(scenario).run(seed: seed).violations.map(\.oracle))
      if oracles.contains("same-end") { return }
      others.formUnion(oracles)
    }
    Issue.record("no pair differed; others: \(others.sorted())")
  }

  @Test("a turn is the same when another one is left out, and in every network")
  func turns() throws {
    func story(_ script: String, _ network: String) throws -> [[String]] {
      let scenario = try Self.scenario(
        """
        { name: "x", topology: { chat: 1 }, turns: 0, network: \(network), script: [\(script)],
          people: [{ name: "ann", role: "chat", count: 3, actions: {} }] }
        """)
      let story = ScenarioRunner(scenario).outcome(seed: 3, RunOptions()).story!
      return story.chapters.filter { $0.title.hasSuffix("send-direct") }.map { $0.seen[0].calls }
    }
    let before = "{ at: '1s', who: 'ann-2', does: 'disconnect' },"
    let step = "{ at: '2s', who: 'ann-1', does: 'send-direct' }"
    let whole = try story(before + step, "{}")
    #expect(whole.count == 1 && whole[0].count == 1)
    #expect(try story(step, "{}") == whole)
    #expect(try story(before + step, "{ latency: '20ms…60ms', splits: 0.9 }") == whole)
  }

  @Test("ids and tokens get names by first sight, times only a place, and all else stays")
  func names() {
    var naming = Naming()
    let first: JSONValue = [
      "user_id": 7, "seq": 3, "sender_username": "ann-1", "timestamp": "2026-01-01T00:00:00.123Z",
      "sessionID": "0123456789abcdef0123456789abcdef", "client_id": "ann-1/3",
    ]
    #expect(
      naming.named(first) == [
        "user_id": "‹userid 1›", "seq": 3, "sender_username": "ann-1", "timestamp": "‹time›",
        "sessionID": "‹token 1›", "client_id": "ann-1/3",
      ])
    let second: JSONValue = [["recipient_id": 7, "is_group": false], ["recipient_id": 7, "is_group": true]]
    #expect(
      naming.named(second) == [
        ["recipient_id": "‹userid 1›", "is_group": false], ["recipient_id": "‹groupid 1›", "is_group": true],
      ])
    #expect(
      Naming.masked(second) == [
        ["recipient_id": "‹userid›", "is_group": false], ["recipient_id": "‹groupid›", "is_group": true],
      ])
    #expect(naming.named("0123456789abcdef0123456789abcdef@chat.invalid") == "‹token 1›@chat.invalid")
  }

  @Test(
    "a second run that cannot be compared is refused",
    arguments: [
      ("{ relation: 'tls' }", "", "needs \"turns\""),
      ("{ relation: 'tls' }", "turns: 1, faults: [{ at: '1s', crash: 'users' }],", "faults"),
      ("{ relation: 'nodes', users: 2 }", "turns: 1,", "postgresql"),
      ("{ relation: 'network' }", "turns: 1,", "network"),
      ("{ relation: 'weather' }", "turns: 1,", "network, restart"),
      ("{ relation: 'tls', every: 2 }", "turns: 1,", "every"), ("{}", "turns: 1,", "relation"),
    ])
  func refused(again: String, more: String, reason: String) {
    let text = "{ name: 'x', \(more) again: \(again), people: [{ name: 'ann' }] }"
    let error = #expect(throws: ScenarioError.self) { try Self.scenario(text) }
    #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
  }

  @Test("drawn pairs are valid, use every relation, and stay pairs when they are varied")
  func drawn() throws {
    var relations: Set<String> = []
    for number in 1...200 as ClosedRange<UInt64> {
      let draw = ScenarioDraw(seed: number)
      var pair = draw.pair(number)
      for _ in 0..<3 {
        let scenario = try Self.scenario(pair.text)
        #expect(scenario.other != nil)
        relations.insert(pair["again"]?["relation"]?.string ?? "")
        pair = draw.variation(of: try #require(ScenarioDraw.Given(pair)))
      }
    }
    #expect(relations == Set(WorldRelation.Name.allCases.map(\.rawValue)))
  }

  @Test("a twentieth of the drawn scenarios are pairs")
  func share() {
    let drawn = (1...1000 as ClosedRange<UInt64>).map { ScenarioDraw(seed: $0).scenario($0) }
    let pairs = drawn.count { $0["again"] != nil }
    #expect((30...75).contains(pairs), "\(pairs)")
  }
}
