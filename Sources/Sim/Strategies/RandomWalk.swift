/// Picks each runnable job with equal probability. It is cheap and finds bugs that many schedules
/// show. A chain with many steps meets a short one only near its own beginning (see `UniformWalk`).
public final class RandomWalk: Strategy {
  /// Whether the queue keeps the order of arrival.
  public let isOrdered = false
  /// Whether chains are tracked.
  public let tracksChains = false
  private let stream: ChoiceStream

  /// Creates a strategy that draws from the stream `schedule` of `choices`.
  public init(_ choices: Choices) { stream = choices.stream("schedule") }

  /// The index of the job to run next.
  public func pick(among count: Int, chain: (Int) -> Int) -> Int { stream.choose(count) }
}
