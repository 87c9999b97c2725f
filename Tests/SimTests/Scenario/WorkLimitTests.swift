import Environment
import Foundation
import System
import Testing

@testable import Sim

@Suite("Work limits")
struct WorkLimitTests {
  @Test("the system reads every limit of the table")
  func read() throws {
    var root = URL(filePath: #filePath)
    for _ in 0..<4 { root.deleteLastPathComponent() }
    let folder = root.appending(path: "Sources/System")
    let names = try FileManager.default.subpathsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".swift") }
    let sources = try names.map { try String(contentsOf: folder.appending(path: $0), encoding: .utf8) }.joined()
    for limit in WorkLimit.allCases {
      #expect(sources.contains("limits[.\(limit)]"), "nothing reads \(limit)")
      #expect((0..<limit.standard).contains(limit.row.least), "\(limit)")
    }
  }

  @Test("a limit is standard unless it is set, and never below its least value")
  func values() {
    var limits = WorkLimits()
    #expect(WorkLimit.allCases.allSatisfy { limits[$0] == $0.standard })
    limits[.prefetch] = 0
    limits[.staleUsers] = 7
    #expect(limits[.prefetch] == 1 && limits[.staleUsers] == 7 && limits[.journalPage] == 256)
  }

  private func scenario(_ limits: JSONValue, people: String, _ more: String, faults: String = "") throws -> Scenario {
    try Scenario(
      parsing: Array(
        """
        { name: 'x', run: '6s', people: [\(people)], \(more), faults: [\(faults)],
          service: { pagingBound: 0, pingInterval: '2s', pingTimeout: '2s', limits: \(limits.text) } }
        """.utf8), file: "x")
  }

  /// Runs scenarios of which one uses what the limits bound, with faults that leave work behind.
  private func serve(_ limits: JSONValue, onServer: Bool, seed: UInt64) throws {
    let sessions = try scenario(
      limits,
      people: """
        { name: 'cora', role: 'customer', users: 2, thinkTime: '200ms',
          actions: { say: 6, read: 2, 'more-users': 1, 'end-session': 1 } },
        { name: 'ann', role: 'user', count: 4, thinkTime: '300ms', bursts: { every: '2s', actions: 3 },
          actions: { say: 4, disconnect: 1, vanish: 1 } },
        { name: 'work', role: 'worker', thinkTime: '300ms', batch: 20, failing: 0.2 }
        """, "topology: { supervisorHosts: 1 }",
      faults: "{ at: '2s', crash: 'broker' }, { at: '3s', crash: 'manager' }, { at: '4s', crash: 'chat' }")
    let people = """
      { name: 'bob', role: 'chat', count: 3, devices: 2, thinkTime: '200ms', bursts: { every: '2s', actions: 3 },
        actions: { 'send-direct': 8, 'send-group': 4, vanish: 1, 'delete-session': 1, 'delete-user': 1,
                   'erase-user': 1, 'read-history': 1 } },
      { name: 'eve', count: 3, thinkTime: '200ms' }
      """
    let chat = try scenario(limits, people: people, "topology: { chat: 1 }", faults: "{ at: '3s', crash: 'chat' }")
    let server = try scenario(
      limits, people: people, "topology: { chat: 2, users: 2, database: 'postgresql' }",
      faults: "{ at: '3s', crash: 'chat-2', restartAfter: '10s' }")
    for scenario in [sessions, chat] + (onServer ? [server] : []) {
      let result = ScenarioRunner(scenario).run(seed: seed)
      #expect(result.violations.isEmpty, "\(limits.text): \(result.violations)")
    }
  }

  @Test("the least value of each limit serves", arguments: WorkLimit.allCases)
  func least(_ limit: WorkLimit) throws {
    let usesServer = [.postgresBatch, .postgresStatements, .nodeSockets, .fanOutFill].contains(limit)
    try serve(.object([.init(limit.rawValue, .int(Int64(limit.row.least)))]), onServer: usesServer, seed: 1)
  }

  @Test("all least values together serve", arguments: 1...3 as ClosedRange<UInt64>)
  func allLeast(seed: UInt64) throws {
    let limits = WorkLimit.allCases.map { JSONValue.Member($0.rawValue, .int(Int64($0.row.least))) }
    try serve(.object(limits), onServer: true, seed: seed)
  }

  @Test("a file cannot name other limits, or set one to a value that does not work")
  func errors() {
    func error(_ limits: String) -> String {
      do throws(ScenarioError) {
        _ = try Scenario(parsing: Array("{ name: 'x', service: { limits: \(limits) } }".utf8), file: "f")
        return "no error"
      } catch {
        return error.description
      }
    }
    #expect(error("{ prefetch: 1 }") == "no error")
    #expect(error("{ prefetch: 0 }").contains("expected an integer from 1 to 256, found 0"))
    #expect(error("{ prefetsch: 1 }").contains("unknown key \"prefetsch\"; did you mean \"prefetch\"?"))
  }

  @Test("three of ten drawn worlds have lower limits, and shrinking takes them back")
  func draws() {
    var lowered = 0
    var drawn: Set<String> = []
    for number in 1...300 as ClosedRange<UInt64> {
      let scenario = ScenarioDraw(seed: number).scenario(number)
      guard let limits = scenario["service"]?["limits"]?.members else { continue }
      lowered += 1
      drawn.formUnion(limits.map(\.name))
      #expect((try? Scenario(parsing: Array(scenario.text.utf8), file: "x")) != nil, "\(scenario.text)")
      #expect(scenario.smallerScenarios.joined().contains { $0["service"]?["limits"] == nil && $0["people"] != nil })
    }
    #expect((50...110).contains(lowered), "\(lowered) of 300")
    #expect(drawn.count == WorkLimit.allCases.count)
  }
}
