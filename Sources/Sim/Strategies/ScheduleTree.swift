import Environment

/// Runs all schedules of a program one after the other: depth-first over the tree of the
/// scheduler's choices, with a bound on preemptions (Musuvathi and Qadeer: "Iterative context
/// bounding for systematic testing of multithreaded programs", PLDI 2007).
///
/// Each run repeats the choices of the previous one up to the last that has another option, takes
/// that option, and continues with first options. Everything else comes from the seed and is the
/// same in each run. When `next` is nil, all schedules have been run.
public final class ScheduleTree {
  /// A step at which several jobs are runnable.
  fileprivate struct Fork {
    /// The indices to try, first the one without a preemption.
    let options: [Int]
    var taken = 0
  }

  /// The number of schedules that have begun.
  public private(set) var count = 0
  /// The maximum number of preemptions, or nil for no limit.
  public let preemptions: Int?
  fileprivate var forks: [Fork] = []

  /// Creates a tree of which no schedule has run.
  public init(preemptions: Int? = nil) { self.preemptions = preemptions }

  /// Returns the strategy for the next run, or nil if all schedules have been run.
  public func next() -> (any Strategy)? {
    if count > 0 {
      while let last = forks.last, last.taken + 1 == last.options.count { forks.removeLast() }
      guard !forks.isEmpty else { return nil }
      forks[forks.count - 1].taken += 1
    }
    count += 1
    return ScheduleBranch(self)
  }

  fileprivate func options(count: Int, last: Int?, budget: Int?, chain: (Int) -> Int) -> [Int] {
    guard let index = (0..<count).first(where: { chain($0) == last }) else { return Array(0..<count) }
    return budget == 0 ? [index] : [index] + (0..<count).filter { $0 != index }
  }
}

/// One run of a `ScheduleTree`.
private final class ScheduleBranch: Strategy {
  let isOrdered = true
  let tracksChains = true
  private let tree: ScheduleTree
  private var depth = 0
  private var last: Int?
  private var budget: Int?

  init(_ tree: ScheduleTree) {
    self.tree = tree
    budget = tree.preemptions
  }

  func pick(among count: Int, chain: (Int) -> Int) -> Int {
    var index = 0
    if count > 1 {
      if depth == tree.forks.count {
        tree.forks.append(.init(options: tree.options(count: count, last: last, budget: budget, chain: chain)))
      }
      let fork = tree.forks[depth]
      require(
        fork.options.allSatisfy { $0 < count }, "the same choices led to another place: something is not deterministic")
      index = fork.options[fork.taken]
      depth += 1
      if index != fork.options[0], chain(fork.options[0]) == last { budget = budget.map { $0 - 1 } }
    }
    last = chain(index)
    return index
  }
}
