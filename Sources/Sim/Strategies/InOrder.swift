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

  /// The index of the job to run next.
  public func pick(among count: Int, chain: (Int) -> Chain) -> Int {
    if tracksChains { profile.note(chain(0)) }
    return 0
  }
}

/// How many steps chains take, by their labels.
public struct StepProfile: Sendable {
  private var steps: [String: Int] = [:]
  private var chains: [String: Int] = [:]
  private var seen: Set<Int> = []

  /// Nothing is known.
  public init() {}

  mutating func note(_ chain: Chain) {
    steps[chain.label, default: 0] += 1
    if seen.insert(chain.number).inserted { chains[chain.label, default: 0] += 1 }
  }

  /// The steps of a chain of this label, in the mean; one when nothing is known.
  func length(of label: String) -> Int {
    guard let steps = steps[label], let chains = chains[label] else { return 1 }
    return max(1, steps / chains)
  }
}
