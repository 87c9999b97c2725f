import Foundation
import Testing

@testable import Sim

@Suite("Oracles")
struct OracleTests {
  @Test("oracles that share a name judge at the same moment")
  func moments() {
    for (name, oracles) in Dictionary(grouping: Oracle.all, by: \.name) {
      #expect(Set(oracles.map(\.moment)).count == 1, "\(name)")
    }
  }

  @Test("a run without evidence keeps every promise")
  func nothing() {
    #expect(Oracle.judge(Evidence()).isEmpty)
  }

  @Test("a run that ended early is judged only by what can be judged at once")
  func early() {
    let evidence = Evidence(run: RunEvidence(stuck: ["ann was not served"], defects: ["a task that does not end"]))
    #expect(Oracle.judge(evidence).map(\.oracle) == ["unwinds", "live"])
    #expect(Oracle.judge(evidence, at: [.atOnce]).map(\.oracle) == ["unwinds"])
  }

  @Test(
    "the state at rest is judged if users rest for as long as it takes",
    arguments: [
      ("chat", "100ms", false), ("customer", "14999ms", false), ("account", "100ms", true), ("chat", "10m", true),
    ])
  func rest(role: String, rest: String, isJudged: Bool) throws {
    let hosts = role == "customer" ? "{ supervisorHosts: 1 }" : "{ chat: 1 }"
    let text = """
      { name: "n", seed: 1, topology: \(hosts), run: "5s",
        people: [{ name: "ann", role: "\(role)", count: 1, actions: {}, rest: "\(rest)" }],
        faults: [{ from: "1s", every: "2s", crash: "users" }] }
      """
    let scenario = try Scenario(parsing: Array(text.utf8), file: "n.json5")
    #expect(Oracle.moments(of: scenario) == (isJudged ? [.atOnce, .atRest, .inTheEnd] : [.atOnce, .inTheEnd]))
  }

  @Test("docs/simulation.md has a row for each oracle, and no other")
  func documented() throws {
    let docs = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../docs/simulation.md")
    let text = try String(contentsOf: docs, encoding: .utf8)
    let rows = text.matches(of: /(?m)^\| `([a-z0-9-]+)` \|/).map { String($0.output.1) }
    let strategies = ["random", "in-order", "pct", "uniform", "exhaustive"]
    #expect(Set(rows).subtracting(strategies) == Set(Oracle.all.map(\.name)))
  }
}
