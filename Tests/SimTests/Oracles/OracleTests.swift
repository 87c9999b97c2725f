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
    #expect(Oracle.judge(evidence, endedEarly: true).map(\.oracle) == ["unwinds"])
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
