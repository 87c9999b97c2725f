import Sim
import Simulation
import System

/// A run that a person explores: the file, or a branch of another run.
///
/// Unchecked: it is made in a pool of threads, and then used by the explorer alone.
final class ExploredRun: @unchecked Sendable {
  let json: JSONValue
  let scenario: Scenario
  let seed: UInt64
  /// What is different from its parent; the name of the scenario for the file.
  let title: String
  /// The run of which it is a branch, and the step of the difference.
  let parent: (run: ExploredRun, step: Int)?
  let record = RunRecord()
  let story: Story?
  let steps: Int

  /// Runs it in a child process.
  /// - Throws: `UsageError` if the scenario cannot be run.
  init(_ json: JSONValue, seed: UInt64, title: String, parent: (run: ExploredRun, step: Int)? = nil) throws(UsageError)
  {
    do throws(ScenarioError) { scenario = try Scenario(parsing: Array(json.text.utf8), file: "the branch") } catch {
      throw UsageError(error.lines)
    }
    (self.json, self.seed, self.title, self.parent) = (json, seed, title, parent)
    let (run, record) = (try Replay().run(json, seed: seed, record), record)
    story = run.violations.first.map { Story($0, record, acts: run.acts) }
    steps = run.steps
  }

  var verdict: String { story.map { "breaks \($0.violation.oracle)" } ?? "keeps every promise" }

  /// What is different from the run of which it is a branch.
  var changes: String? {
    parent.map { parent in
      """
      \(title). The run before \(parent.run.verdict); this branch \(verdict).

      \(RunChanges(parent.run.record, record, from: parent.step).text)
      """
    }
  }

  /// Runs a branch of it.
  /// - Throws: `UsageError` if there can be no such branch.
  func branch(_ branch: NewBranch) throws(UsageError) -> ExploredRun {
    let file = branch.file(json, scenario, seed: seed, at: record.time(at: branch.step))
    return try ExploredRun(file, seed: seed, title: branch.title, parent: (self, branch.step))
  }
}
