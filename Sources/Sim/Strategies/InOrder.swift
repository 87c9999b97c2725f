/// First come, first served: what an event loop does. The simplest run, to compare others with.
public final class InOrder: Strategy {
  /// Whether the queue keeps the order of arrival.
  public let isOrdered = true
  /// Whether chains are told apart: only to count their steps.
  public let tracksChains: Bool
  /// What was counted, when somebody asked.
  public private(set) var profile = StepProfile()

  /// Makes one; it draws nothing. With `profiling`, it counts the steps of each chain.
  public init(profiling: Bool = false) { tracksChains = profiling }

  /// Counts it, when somebody asked.
  public func met(_ chain: Chain) { profile.meet(chain) }

  /// The index of the job to run next.
  public func pick(among count: Int, chain: (Int) -> Int) -> Int {
    if tracksChains { profile.noteStep(of: chain(0)) }
    return 0
  }
}

/// How many steps chains take, by their labels.
public struct StepProfile: Sendable {
  private struct Kind {
    var chains = 0
    var steps = 0
  }

  private var kinds: [Kind] = []
  /// Which kind a label stands for, and which one a chain is of, by its number.
  private var labels: [String: Int] = [:]
  private var kindOfChain = [0]

  /// Nothing is known.
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

  /// The steps of a chain of this label, in the mean; one when nothing is known.
  func length(of label: String) -> Int {
    guard let kind = labels[label] else { return 1 }
    return max(1, kinds[kind].steps / kinds[kind].chains)
  }
}
