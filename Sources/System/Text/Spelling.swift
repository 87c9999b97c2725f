/// The nearest right word, for errors.
public enum Spelling {
  /// The word that is nearest to `word` and no further than a third of its letters, or nil; ties go to the first.
  public static func nearest(to word: String, among known: [String]) -> String? {
    let distances = known.map { ($0, distance(Array(word.lowercased().utf8), Array($0.lowercased().utf8))) }
    guard let best = distances.min(by: { $0.1 < $1.1 }), best.1 <= max(1, best.0.utf8.count / 3) else { return nil }
    return best.0
  }

  /// What an error adds: `; did you mean "…"?`, or nothing. `shown` is how the word is written there.
  public static func hint(
    _ word: String, among known: [String], shown: (String) -> String = { "\"\($0)\"" }
  ) -> String {
    nearest(to: word, among: known).map { "; did you mean \(shown($0))?" } ?? ""
  }

  /// How many letters have to be put in, left out, replaced or exchanged with the next: the restricted distance of Damerau
  /// and Levenshtein.
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
