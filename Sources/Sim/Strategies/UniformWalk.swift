/// Picks each interleaving with about equal probability, where `RandomWalk` gives equal probability
/// to each step (Zhao, Wolff, Mathur, Roychoudhury: "Selectively uniform concurrency testing",
/// ASPLOS 2025).
///
/// A chain is picked with a probability proportional to its remaining steps. Their number is
/// estimated from an in-order run of the same seed, as the mean of chains of one label. A wrong
/// estimate makes the walk less uniform.
public final class UniformWalk: Strategy {
  /// Whether the queue keeps the order of arrival.
  public let isOrdered = true
  /// Whether chains are tracked.
  public let tracksChains = true
  private let stream: ChoiceStream
  private let profile: StepProfile
  /// The remaining steps of each chain by number. Less than one if a chain took more steps than
  /// estimated.
  private var left = [0]
  private var weights: [Int] = []

  /// Creates a strategy that draws from the stream `schedule` of `choices`.
  public init(_ choices: Choices, profile: StepProfile) {
    stream = choices.stream("schedule")
    self.profile = profile
  }

  /// Looks up the estimate for the chain.
  public func met(_ chain: Chain) { left.append(profile.length(of: chain.label)) }

  /// The index of the job to run next.
  public func pick(among count: Int, chain: (Int) -> Int) -> Int {
    weights.removeAll(keepingCapacity: true)
    for index in 0..<count { weights.append(max(1, left[chain(index)])) }
    let index = stream.weighted(weights)
    left[chain(index)] -= 1
    return index
  }
}
