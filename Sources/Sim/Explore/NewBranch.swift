import Simulation
import System

/// Branches of a run as scenario files. A branch and its run are the same up to a step.
public struct NewBranch: Sendable {
  /// What is different at the step.
  public enum Change: Sendable {
    /// Another job goes next.
    case job(Int)
    /// A fault strikes a node.
    case fault(FaultHere, node: String)
  }

  /// The step of the change.
  public let step: Int
  /// The change.
  public let change: Change

  /// Makes a branch after `step` jobs.
  public init(step: Int, _ change: Change) {
    self.step = step
    self.change = change
  }

  /// What is different, in words.
  public var title: String {
    switch change {
    case .job(let place): "after step \(step), job \(place + 1) goes first"
    case .fault(let fault, let node): "after step \(step), \(node) \(fault.title)"
    }
  }

  /// The file of the branch of a run of `scenario`, whose file is `json`, with a seed. `at` is the
  /// time of the step. What the file changes after the step is left out, since it was meant for
  /// another run. So are demands on the runs.
  public func file(_ json: JSONValue, _ scenario: Scenario, seed: UInt64, at: Duration) -> JSONValue {
    var picks = (json["picks"]?.array ?? []).filter { $0.string.flatMap(Pick.init).map { $0.step < step } ?? false }
    var faults = (json["faults"]?.array ?? []).filter { $0["atStep"]?.int.map { $0 <= step } ?? true }
    switch change {
    case .job(let job): picks.append(.string(Pick(step: step, job: job).text))
    case .fault(let fault, let node):
      let others = scenario.nodeNames.all.filter { $0 != node }
      faults.append(fault.json(node, among: others, step: step, at: at, run: scenario.run))
    }
    var file = json.setting("seed", .int(Int64(seed)))
    for name in ["fails", "expect", "sometimes"] { file = file.removing(name) }
    return file.settingList("picks", picks).settingList("faults", faults)
  }
}
