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

  /// Levenshtein's distance.
  private static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var row = Array(0...b.count)
    for (i, x) in a.enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for (j, y) in b.enumerated() {
        let above = row[j + 1]
        row[j + 1] = min(above + 1, row[j] + 1, diagonal + (x == y ? 0 : 1))
        diagonal = above
      }
    }
    return row[b.count]
  }
}
