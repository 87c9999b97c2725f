/// A uniform random walk: each *interleaving* is about equally likely, where a `RandomWalk` makes each *step* so (Zhao, Wolff, Mathur,
/// Roychoudhury: "Selectively uniform concurrency testing", ASPLOS 2025).
///
/// A chain is picked with a chance proportional to the steps that it has still to go. Those are known from an earlier run of the same
/// seed, in the mean over chains of one label; where that is wrong the walk is only less uniform.
public final class UniformWalk: Strategy {
  /// Whether the queue keeps the order of arrival.
  public let isOrdered = true
  /// Whether chains are told apart.
  public let tracksChains = true
  private let stream: ChoiceStream
  private let profile: StepProfile
  private var taken: [Int: Int] = [:]

  /// Draws from the stream `schedule` of `choices`.
  public init(_ choices: Choices, profile: StepProfile) {
    stream = choices.stream("schedule")
    self.profile = profile
  }

  /// The index of the job to run next.
  public func pick(among count: Int, chain: (Int) -> Chain) -> Int {
    let weights = (0..<count).map { index -> Int in
      let chain = chain(index)
      return max(1, profile.length(of: chain.label) - taken[chain.number, default: 0])
    }
    let index = stream.weighted(weights)
    taken[chain(index).number, default: 0] += 1
    return index
  }
}
