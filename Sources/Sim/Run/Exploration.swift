import Simulation

extension ScenarioRunner {
  /// Runs one schedule after another, until all or `limit` have run or `handle` returns false.
  public func explore(
    seed: UInt64, preemptions: Int?, limit: Int, _ handle: (_ schedule: Int, RunResult) -> Bool
  ) -> (schedules: Int, isCovered: Bool) {
    let tree = ScheduleTree(preemptions: preemptions)
    while tree.count < limit {
      guard let strategy = tree.next() else { return (tree.count, true) }
      var options = RunOptions()
      options.scheduler = strategy
      if !handle(tree.count, run(seed: seed, options)) { return (tree.count, false) }
    }
    return (tree.count, tree.next() == nil)
  }
}
