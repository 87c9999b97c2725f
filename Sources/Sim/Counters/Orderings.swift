/// The orders in which labelled events closely followed each other in a run, as in "crash chat,
/// messages-stored". An ordering bug needs one of two events to come first, not just both to
/// happen, so coverage counts orders.
public struct Orderings: Sendable {
  /// Events farther apart than this do not count as following each other.
  public static let window: Duration = .milliseconds(500)

  /// An event and another one that came soon after it.
  public struct Pair: Hashable, Comparable, Sendable {
    /// The event that came first.
    public let first: String
    /// The event that followed.
    public let then: String

    /// Makes a pair of two events in order.
    public init(_ first: String, _ then: String) {
      self.first = first
      self.then = then
    }

    /// Compares by names.
    public static func < (a: Pair, b: Pair) -> Bool { (a.first, a.then) < (b.first, b.then) }

    /// The same events in the other order.
    public var reversed: Pair { Pair(then, first) }
  }

  private var labels: [String] = []
  private var numbers: [String: Int] = [:]
  private var last: [Int64] = []
  private var seen: [[Bool]] = []

  /// Makes an empty record.
  public init() {}

  /// Notes an event at a virtual time in nanoseconds.
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

  /// The pairs that were seen, in order of their names.
  public var pairs: [Pair] {
    labels.indices.flatMap { first in
      labels.indices.filter { seen[first][$0] }.map { Pair(labels[first], labels[$0]) }
    }.sorted()
  }
}
