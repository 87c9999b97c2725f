/// A uniform random walk: each *interleaving* is about equally likely, where a `RandomWalk` makes each *step* so (Zhao, Wolff, Mathur,
/// Roychoudhury: "Selectively uniform concurrency testing", ASPLOS 2025).
///
/// A chain is picked with a chance proportional to the steps that it has still to go. Those are known from the beginning of a run of the
/// same seed in order, in the mean over chains of one label; where that is wrong the walk is only less uniform.
public final class UniformWalk: Strategy {
  /// Whether the queue keeps the order of arrival.
  public let isOrdered = true
  /// Whether chains are told apart.
  public let tracksChains = true
  private let stream: ChoiceStream
  private let profile: StepProfile
  /// The steps that chains have still to go, by their numbers. Below one when they went further than was thought.
  private var left = [0]
  private var weights: [Int] = []

  /// Draws from the stream `schedule` of `choices`.
  public init(_ choices: Choices, profile: StepProfile) {
    stream = choices.stream("schedule")
    self.profile = profile
  }

  /// Looks up how long such chains are.
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
