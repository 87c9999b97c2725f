import Simulation

/// The result of one run of a scenario.
public struct RunResult: Sendable {
  /// The seed.
  public let seed: UInt64
  /// The hash over all choices and events.
  public let hash: UInt64
  /// The broken promises, in the order of the oracles.
  public let violations: [Violation]
  /// How often each counter was counted.
  public let counts: [Counter: Int]
  /// How often each of the scenario's faults struck, by its index in the file.
  public let strikes: [Int]
  /// Jobs that the scheduler ran.
  public let steps: Int
  /// Virtual time from the beginning to the end of the run.
  public let simulated: Duration
  /// The orders in which events followed each other.
  public let orderings: [Orderings.Pair]
  /// How many draws each stream of choices made.
  public let draws: [(stream: String, count: Int)]
  /// The actions of the users if a promise was broken; otherwise empty. A script of these repeats
  /// them.
  public let acts: [Act]
  /// The faults that struck, by their index in the file, if a promise was broken; otherwise empty.
  public let struck: [(fault: Int, at: Duration)]

  /// The number of actions and of strikes of faults, if a promise was broken.
  public var deeds: Int { acts.count + struck.count }
}

extension RunResult {
  /// The result of a run whose process died.
  public init(diedWith seed: UInt64) {
    self.init(
      seed: seed, hash: 0, violations: [], counts: [:], strikes: [], steps: 0, simulated: .zero, orderings: [],
      draws: [], acts: [], struck: [])
  }
}

/// How a scenario is run.
public struct RunOptions {
  /// How the scheduler picks; nil uses the strategy of the scenario.
  public var strategy: StrategyName?
  /// A scheduler's strategy to use in place of `strategy`.
  var scheduler: (any Strategy)?
  /// Whether choices and events are hashed. Only benchmarks turn it off.
  public var isHashed = true
  /// Whether the world can tell which jobs are runnable, and what they are. It changes nothing.
  var isWatched = false
  /// Receives every event of the run.
  public var sink: ((TraceEvent) -> Void)?

  /// Options with the scenario's own strategy and without a trace.
  public init(strategy: StrategyName? = nil, sink: ((TraceEvent) -> Void)? = nil) {
    self.strategy = strategy
    self.sink = sink
  }
}
