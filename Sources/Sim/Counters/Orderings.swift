/// Which labelled events followed each other closely in a run: "crash chat, messages-stored". What matters for ordering bugs is not that
/// both happened but that each came first at least once; so this is what coverage counts.
public struct Orderings: Sendable {
  /// Events farther apart than this have nothing to do with each other.
  public static let window: Duration = .milliseconds(500)

  /// One event and another that came soon after it.
  public struct Pair: Hashable, Comparable, Sendable {
    /// What came first.
    public let first: String
    /// What came then.
    public let then: String

    /// Makes a pair.
    public init(_ first: String, _ then: String) {
      self.first = first
      self.then = then
    }

    /// By names.
    public static func < (a: Pair, b: Pair) -> Bool { (a.first, a.then) < (b.first, b.then) }

    /// The other order of the same two.
    public var reversed: Pair { Pair(then, first) }
  }

  private var labels: [String] = []
  private var numbers: [String: Int] = [:]
  private var last: [Int64] = []
  private var seen: [[Bool]] = []

  /// Nothing was seen.
  public init() {}

  /// An event happened at a virtual time.
  mutating func note(_ label: String, at time: Int64) {
    let number = numbers[label] ?? add(label)
    for other in labels.indices
    where other != number && last[other] >= 0 && time - last[other] <= Self.window.nanoseconds {
      seen[other][number] = true
    }
    last[number] = time
  }

  private mutating func add(_ label: String) -> Int {
    labels.append(label)
    numbers[label] = labels.count - 1
    last.append(-1)
    for index in seen.indices { seen[index].append(false) }
    seen.append(Array(repeating: false, count: labels.count))
    return labels.count - 1
  }

  /// The pairs that were seen, sorted.
  public var pairs: [Pair] {
    labels.indices.flatMap { first in
      labels.indices.filter { seen[first][$0] }.map { Pair(labels[first], labels[$0]) }
    }.sorted()
  }
}
