/// Every runnable job is equally likely at each step. Cheap, and good at bugs that many schedules show; a chain with many steps meets
/// one with few at its end only, since the short one is over early (see `UniformWalk`).
public final class RandomWalk: Strategy {
  /// Whether the queue keeps the order of arrival.
  public let isOrdered = false
  /// Whether chains are told apart.
  public let tracksChains = false
  private let stream: ChoiceStream

  /// Draws from the stream `schedule` of `choices`.
  public init(_ choices: Choices) { stream = choices.stream("schedule") }

  /// The index of the job to run next.
  public func pick(among count: Int, chain: (Int) -> Int) -> Int { stream.choose(count) }
}
