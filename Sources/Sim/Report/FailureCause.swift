extension RunResult {
  /// A text that failures with the same cause share: the broken promises, each with its first event
  /// without names and numbers.
  public var cause: String {
    violations.map { "\($0.oracle): \($0.promise): \(Self.shape(of: $0.events.first ?? ""))" }.joined(separator: "\n")
  }

  /// The text with `#` in place of each word with a digit, except statuses of errors. Several in a
  /// row become one.
  static func shape(of text: String) -> String {
    var shape: [Substring] = []
    // The text after a semicolon is what a user saw last, which differs.
    for word in text.prefix(while: { $0 != ";" }).split(
      omittingEmptySubsequences: false, whereSeparator: { !$0.isLetter && !$0.isNumber })
    {
      let isStatus = word.count == 3 && (word.hasPrefix("4") || word.hasPrefix("5")) && word.allSatisfy(\.isNumber)
      let next = word.contains(where: \.isNumber) && !isStatus ? "#" : word
      if next != "#" || shape.last != "#" { shape.append(next) }
    }
    return shape.joined(separator: " ")
  }
}
