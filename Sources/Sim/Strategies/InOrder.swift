/// Runs jobs in the order of arrival, as an event loop does. The simplest run, for comparison with
/// others.
public final class InOrder: Strategy {
  /// Whether the queue keeps the order of arrival.
  public let isOrdered = true
  /// Whether chains are tracked: only to count their steps.
  public let tracksChains: Bool
  /// The step counts, if profiling is on.
  public private(set) var profile = StepProfile()

  /// Creates the strategy. With `profiling`, it counts the steps of each chain.
  public init(profiling: Bool = false) { tracksChains = profiling }

  /// Counts the chain if profiling is on.
  public func met(_ chain: Chain) { profile.meet(chain) }

  /// The index of the job to run next.
  public func pick(among count: Int, chain: (Int) -> Int) -> Int {
    if tracksChains { profile.noteStep(of: chain(0)) }
    return 0
  }
}

/// The step counts of chains, by label.
public struct StepProfile: Sendable {
  private struct Kind {
    var chains = 0
    var steps = 0
  }

  private var kinds: [Kind] = []
  /// The index of each label, and the label index of each chain.
  private var labels: [String: Int] = [:]
  private var kindOfChain = [0]

  /// Creates an empty profile.
  public init() {}

  mutating func meet(_ chain: Chain) {
    let kind = labels[chain.label] ?? kinds.count
    if kind == kinds.count {
      labels[chain.label] = kind
      kinds.append(Kind())
    }
    kinds[kind].chains += 1
    kindOfChain.append(kind)
  }

  mutating func noteStep(of chain: Int) { kinds[kindOfChain[chain]].steps += 1 }

  /// The mean number of steps of a chain with this label, or 1 if it is unknown.
  func length(of label: String) -> Int {
    guard let kind = labels[label] else { return 1 }
    return max(1, kinds[kind].steps / kinds[kind].chains)
  }
}
