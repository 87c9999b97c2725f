/// How the scheduler picks among what can run. One file a strategy; later ones (PCT, exhaustive, replay) implement this too.
public protocol Strategy: AnyObject {
  /// What the command line calls it.
  var name: String { get }
  /// The index of the job to run next, below `count` (at least 1). Jobs stand in the order in which they became runnable,
  /// but for those that `ordered` says may be swapped.
  func pick(among count: Int) -> Int
  /// Whether the queue must keep the order of arrival when one is taken out of its middle.
  var ordered: Bool { get }
}

/// Every runnable job is equally likely: a random walk through the interleavings.
public final class RandomStrategy: Strategy {
  /// What the command line calls it.
  public let name = "random"
  /// Whether the queue keeps the order of arrival.
  public let ordered = false
  private let stream: ChoiceStream

  /// Draws from the stream `schedule` of `choices`.
  public init(_ choices: Choices) { stream = choices.stream("schedule") }

  /// The index of the job to run next.
  public func pick(among count: Int) -> Int { stream.choose(count) }
}

/// First come, first served: what an event loop does. The simplest run, to compare others with.
public final class InOrderStrategy: Strategy {
  /// What the command line calls it.
  public let name = "in-order"
  /// Whether the queue keeps the order of arrival.
  public let ordered = true

  /// Makes one; it draws nothing.
  public init() {}

  /// The index of the job to run next.
  public func pick(among count: Int) -> Int { 0 }
}

/// The strategies by name.
public enum StrategyName: String, CaseIterable, Sendable {
  case random
  case inOrder = "in-order"

  func make(_ choices: Choices) -> any Strategy {
    switch self {
    case .random: RandomStrategy(choices)
    case .inOrder: InOrderStrategy()
    }
  }
}
