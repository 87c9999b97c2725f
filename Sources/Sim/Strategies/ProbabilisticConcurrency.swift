import Environment

/// PCT: randomized priorities with few changes (Burckhardt, Kothari, Musuvathi, Nagarakatti: "A
/// randomized scheduler with probabilistic guarantees of finding bugs", ASPLOS 2010; over chains of
/// messages: Ozkan et al., OOPSLA 2018).
///
/// Each chain gets a random priority when it appears, and the runnable job of highest priority
/// runs. At d − 1 steps, drawn beforehand among k, the chain that is about to run drops below all
/// others. A bug of depth d (one that d ordering constraints suffice to show) in a program of at
/// most n chains and k steps is hit with a chance of at least 1 / (n · k^(d−1)).
///
/// Unlike the paper it does not know n when chains appear, so it draws priorities from a large
/// range in place of a permutation. Ties have a probability of 2⁻³¹ and go to the earlier chain.
public final class ProbabilisticConcurrency: Strategy {
  /// Whether the queue keeps the order of arrival.
  public let isOrdered = true
  /// Whether chains are tracked.
  public let tracksChains = true
  /// The depth d of the bugs to find.
  public let depth: Int
  /// The assumed number of steps k.
  public let length: Int
  private static let range = 1 << 31
  private let stream: ChoiceStream
  /// The steps at which priorities drop, and the new priorities, the last first.
  private var changes: [(step: Int, priority: Int)]
  /// Priorities by chain number. Initial priorities start at `depth`; dropped ones are lower.
  private var priorities = [0]
  private var step = 0

  /// Creates a strategy with a depth and a length. It draws from the stream `schedule` of
  /// `choices`.
  public init(_ choices: Choices, depth: Int, length: Int) {
    require(depth >= 1 && length >= 1, "a depth and a length are at least 1")
    let stream = choices.stream("schedule")
    self.stream = stream
    self.depth = depth
    self.length = length
    changes = (1..<depth).map { (stream.choose(length) + 1, depth - $0) }.sorted { $0.step > $1.step }
  }

  /// Creates a strategy with a random depth from 1 to 4 and a random power of two up to a million
  /// as its length. The length of a run is known only at its end; drawing its magnitude divides the
  /// probability by at most 16.
  public convenience init(_ choices: Choices) {
    let stream = choices.stream("pct")
    self.init(choices, depth: 1 + stream.choose(4), length: 1 << (5 + stream.choose(16)))
  }

  /// Draws the priority of the chain.
  public func met(_ chain: Chain) { priorities.append(depth + stream.choose(Self.range)) }

  /// The index of the job to run next.
  public func pick(among count: Int, chain: (Int) -> Int) -> Int {
    step += 1
    while true {
      var best = 0
      var highest = priorities[chain(0)]
      for index in 1..<max(1, count) where priorities[chain(index)] > highest {
        best = index
        highest = priorities[chain(index)]
      }
      guard let change = changes.last, change.step <= step else { return best }
      changes.removeLast()
      priorities[chain(best)] = change.priority
    }
  }
}
