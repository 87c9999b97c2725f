/// What is done at given steps of a run, apart from its jobs: faults that strike there, and jobs
/// that go next there. See `Pick`.
struct Steering {
  /// The actions and their steps, the last first.
  private var actions: [(step: Int, act: () -> Void)] = []
  /// The steps of the picks, the last first.
  private var picks: [Pick]
  /// The step of the next action; the largest number without one.
  private(set) var nextAction = Int.max
  /// The step of the next pick; the largest number without one.
  private var nextPick = Int.max

  init(_ picks: [Pick]) {
    self.picks = picks.sorted { $0.step > $1.step }
    nextPick = self.picks.last?.step ?? .max
  }

  /// Adds an action. Actions of one step are in the order in which they were added.
  mutating func add(_ step: Int, _ act: @escaping () -> Void) {
    actions.insert((step, act), at: actions.firstIndex { $0.step <= step } ?? actions.count)
    nextAction = actions.last!.step
  }

  /// Removes the next action of a step up to `step`, and returns it.
  mutating func takeAction(upTo step: Int) -> (() -> Void)? {
    guard let next = actions.last, next.step <= step else { return nil }
    actions.removeLast()
    nextAction = actions.last?.step ?? .max
    return next.act
  }

  /// The place of the job to run after `step` among `count` jobs; nil leaves it to the strategy.
  mutating func pick(after step: Int, among count: Int) -> Int? {
    guard step >= nextPick else { return nil }
    var found: Int?
    while let next = picks.last, next.step <= step {
      picks.removeLast()
      if next.step == step, next.job < count { found = next.job }
    }
    nextPick = picks.last?.step ?? .max
    return found
  }

  mutating func forgetAll() {
    actions = []
    nextAction = .max
  }
}

/// Notes what each chain is doing, for people who look at a run.
final class Watch {
  /// Called with the place of the job that is about to run, once `step` jobs have run.
  var onPick: ((Int) -> Void)?
  var step = Int.max
  /// By the numbers of the chains, less 1.
  private var labels: [String] = []
  private var actors: [Int: StaticString] = [:]
  private var waits: [Int: Wait] = [:]

  func met(_ label: String) { labels.append(label) }

  func note(_ chain: Int, actor: StaticString?, wait: Wait?) {
    actors[chain] = actor
    if let wait { waits[chain] = wait }
  }

  func job(_ chain: Int) -> RunnableJob {
    RunnableJob(
      task: labels[chain - 1], chain: chain, actor: actors[chain].map { "\($0)" },
      wait: waits[chain]?.description)
  }

  /// Tells the watcher of a job that is picked after `steps` jobs, if it waits for that.
  func picked(_ place: Int, after steps: Int) {
    guard steps >= step, let onPick else { return }
    self.onPick = nil
    onPick(place)
  }
}
