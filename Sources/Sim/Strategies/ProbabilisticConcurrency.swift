import Environment

/// PCT: randomized priorities with few changes (Burckhardt, Kothari, Musuvathi, Nagarakatti: "A randomized scheduler with probabilistic
/// guarantees of finding bugs", ASPLOS 2010; over chains of messages: Ozkan et al., OOPSLA 2018).
///
/// Each chain gets a random priority when it appears, and the runnable job of highest priority runs. At d − 1 steps, drawn beforehand
/// among k, the chain that is about to run drops below all others. A bug of depth d (one that d ordering constraints suffice to
/// show) in a program of at most n chains and k steps is hit with a chance of at least 1 / (n · k^(d−1)).
///
/// It departs from the paper in one thing: n is not known when chains appear, so that priorities are drawn as numbers from a large range
/// in place of a permutation; ties, of chance 2⁻³¹, go to the chain that came first.
public final class ProbabilisticConcurrency: Strategy {
  /// Whether the queue keeps the order of arrival.
  public let isOrdered = true
  /// Whether chains are told apart.
  public let tracksChains = true
  /// The depth of the bugs that are looked for.
  public let depth: Int
  /// The steps that are assumed.
  public let length: Int
  private static let range = 1 << 31
  private let stream: ChoiceStream
  /// The steps at which priorities drop, and to what, the last first.
  private var changes: [(step: Int, priority: Int)]
  /// By the numbers of chains. Those from `depth` on are first ones; those below are what a chain dropped to.
  private var priorities = [0]
  private var step = 0

  /// With a depth and a length. Draws from the stream `schedule` of `choices`.
  public init(_ choices: Choices, depth: Int, length: Int) {
    require(depth >= 1 && length >= 1, "a depth and a length are at least 1")
    let stream = choices.stream("schedule")
    self.stream = stream
    self.depth = depth
    self.length = length
    changes = (1..<depth).map { (stream.choose(length) + 1, depth - $0) }.sorted { $0.step > $1.step }
  }

  /// With a depth of 1 to 4, and a length that is a power of two up to a million: how long a run is, is known at its end only, and to
  /// draw its magnitude costs the chance a factor of 16.
  public convenience init(_ choices: Choices) {
    let stream = choices.stream("pct")
    self.init(choices, depth: 1 + stream.choose(4), length: 1 << (5 + stream.choose(16)))
  }

  /// Draws its priority.
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
