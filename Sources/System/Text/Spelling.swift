/// Suggestions for misspelled words in errors.
public enum Spelling {
  /// Returns the known word that is nearest to `word`, at a distance of at most a third of its
  /// letters; the first of equally near words.
  public static func nearest(to word: String, among known: [String]) -> String? {
    let distances = known.map { ($0, distance(Array(word.lowercased().utf8), Array($0.lowercased().utf8))) }
    guard let best = distances.min(by: { $0.1 < $1.1 }), best.1 <= max(1, best.0.utf8.count / 3) else { return nil }
    return best.0
  }

  /// Returns `; did you mean "…"?` for an error, or an empty string. `shown` formats the word.
  public static func hint(
    _ word: String, among known: [String], shown: (String) -> String = { "\"\($0)\"" }
  ) -> String {
    nearest(to: word, among: known).map { "; did you mean \(shown($0))?" } ?? ""
  }

  /// The restricted Damerau–Levenshtein distance: the number of letters that are inserted, deleted,
  /// replaced or exchanged with the next.
  private static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var before = [Int](repeating: 0, count: b.count + 1)
    var row = Array(0...b.count)
    for i in a.indices {
      var next = [i + 1]
      for j in b.indices {
        var least = min(row[j + 1] + 1, next[j] + 1, row[j] + (a[i] == b[j] ? 0 : 1))
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { least = min(least, before[j - 1] + 1) }
        next.append(least)
      }
      (before, row) = (row, next)
    }
    return row[b.count]
  }
}
