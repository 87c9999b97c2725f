import Sim

/// The events and orderings that the runs of a search reached together.
struct FuzzCoverage {
  private(set) var counts: [Counter: Int] = [:]
  /// For each ordering of two events, the number of runs that showed it.
  private(set) var pairs: [Orderings.Pair: Int] = [:]

  /// The number of orderings seen.
  var count: Int { pairs.count }

  /// Adds a run. Returns the number of new orderings.
  mutating func add(_ result: RunResult) -> Int {
    for (counter, count) in result.counts { counts[counter, default: 0] += count }
    var new = 0
    for pair in result.orderings {
      if pairs[pair] == nil { new += 1 }
      pairs[pair, default: 0] += 1
    }
    return new
  }

  /// Orderings never seen of pairs that were seen in the other order, the most frequent first.
  var missing: [(pair: Orderings.Pair, reversedRuns: Int)] {
    pairs.filter { pairs[$0.key.reversed] == nil }.map { ($0.key.reversed, $0.value) }
      .sorted { ($1.1, $0.0) < ($0.1, $1.0) }
  }

  var report: [String] {
    let missed = Counter.allCases.filter { counts[$0, default: 0] == 0 }
    var lines = ["reached: " + SimulationReport.counted(counts)]
    if !missed.isEmpty { lines.append("never reached: " + missed.map(\.rawValue).joined(separator: ", ")) }
    let missing = missing
    let both = (count - missing.count) / 2
    lines.append("orderings: \(both) pairs of events met in both orders, \(missing.count) in one only")
    if !missing.isEmpty {
      lines.append(
        "never seen: "
          + missing.prefix(8).map {
            "\($0.pair.first) then \($0.pair.then) (the reverse in \($0.reversedRuns) runs)"
          }
          .joined(separator: ", "))
    }
    return lines
  }
}
