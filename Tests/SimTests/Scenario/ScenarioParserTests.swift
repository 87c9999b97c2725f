@testable import Environment
import System
import Testing

@testable import Sim

@Suite("Scenario files")
struct ScenarioParserTests {
  private func error(_ text: String) -> String {
    do throws(ScenarioError) {
      _ = try Scenario(parsing: Array(text.utf8), file: "f")
      return "no error"
    } catch {
      return error.description
    }
  }

  @Test(
    "errors have a position and a reason",
    arguments: [
      ("{\n  name: 'x',\n  peple: [],\n}", "f:3:3: unknown key \"peple\"; did you mean \"people\"?"),
      ("{ name: 'x', run: 'soon' }", "f:1:19: \"soon\" is not a time; write for example 200ms, 1.5s, 10m"),
      ("{ name: 'x'", "f:1:12: expected \",\" or \"}\", found the end of the text"),
      ("{ }", "f:1:1: a scenario needs a \"name\""),
      (
        "{ name: 'x', faults: [\n{ at: '1s', crash: 'user' }] }",
        "f:2:20: \"user\" is not in the topology; did you mean \"users\"?"
      ),
      (
        "{ name: 'x', faults: [{ at: '1s' }] }",
        "f:1:23: a fault is exactly one of crash, pause, drain, reset, partition, disk, stalls, skew, certificate, "
          + "database"
      ),
      ("{ name: 'x', faults: [{ at: '2m', crash: 'users' }] }", "f:1:23: a fault must be within the run"),
      (
        "{ name: 'x', faults: [{ at: '1s', to: '2s', crash: 'users' }] }",
        "f:1:23: \"at\" excludes \"from\", \"to\" and \"every\""
      ),
      (
        "{ name: 'x', topology: { database: 'postgres' } }",
        "f:1:36: \"postgres\" is not one of sqlite, postgresql; did you mean \"postgresql\"?"
      ),
      (
        "{ name: 'x', faults: [{ from: '1s', database: 'users', full: true }] }",
        "f:1:47: the database is the node postgresql"
      ),
      (
        "{ name: 'x', topology: { database: 'postgresql' }, faults: [{ from: '1s', database: 'postgresql' }] }",
        "f:1:61: a fault of the database needs at least one of serializationFailures, deadlocks, timeouts, "
          + "lostCommits, full, readOnly, slowCommits"
      ),
      ("{ name: 'x', expect: { crashs: 1 } }", "f:1:24: unknown counter \"crashs\"; did you mean \"crashes\"?"),
      (
        "{ name: 'x', people: [{ name: 'a', actions: { logon: 1 } }] }",
        "f:1:47: unknown action \"logon\"; did you mean \"login\"?; the role account has register, login, refresh, add-session, get-sessions, delete-session, delete-user, steal-refresh, replay-refresh, use-dead-token, delete-others-session, wrong-password"
      ),
      ("{ name: 'x', people: [{ name: 'a', cutOff: 2 }] }", "f:1:44: expected a number from 0 to 1, found 2"),
      ("{ name: 'x', people: [{ name: 'a' }, { name: 'a' }] }", "f:1:22: two nodes have the same name"),
      ("{ name: 'x', script: [{ at: '1s', who: 'b', does: 'login' }] }", "f:1:40: there is no user called \"b\""),
      (
        "{ name: 'x', network: { latency: '2s…1s' } }",
        "f:1:34: \"2s…1s\" is not a time or a range of times; write for example 200ms…2s"
      ),
      (
        "{ name: 'x', topology: { chat: 2 } }",
        "f:1:32: several nodes of the Chat Service need database: \"postgresql\""
      ),
      (
        "{ name: 'x', topology: { users: 2 } }",
        "f:1:33: several nodes of the User Service need database: \"postgresql\""
      ),
    ])
  func errors(text: String, message: String) { #expect(error(text) == message) }

  @Test("results survive a round trip through JSON")
  func results() throws {
    let scenario = try Scenario.file("accounts/same-names").shortened(to: .milliseconds(200))
    let result = ScenarioRunner(scenario).run(seed: 4)
    let back = try #require(RunResult(json: result.json))
    #expect(back.json == result.json)
    #expect(back.hash == result.hash)
  }
}
