/// Code for the test of the generator: a place for each operator.
struct Ledger {
  private var entries: [Int] = []
  private(set) var log: [String] = []
  private let limit: Int

  init(limit: Int) { self.limit = limit }

  mutating func add(_ value: Int) -> Bool {
    guard value > 0, entries.count < limit else { return false }
    entries.append(value)
    log.append("added \(value)")
    return true
  }

  mutating func trim(to count: Int) {
    while entries.count > count {
      entries.removeFirst()
      log.append("trimmed")
    }
  }

  func find(_ value: Int) -> Int? {
    for (index, entry) in entries.enumerated() where entry == value {
      return index
    }
    return nil
  }

  /// The sum of a range, the newest entry, and a query for the rest.
  func summary(of wanted: Int?) -> String {
    var sum = 0
    for index in 0..<entries.count { sum += entries[index] }
    let newest = entries.last ?? wanted ?? -1
    let isLarge = sum > 10 && newest > 7
    let text = select("SELECT id FROM entries WHERE kind = 1 AND value > 2 ORDER BY id")
    let long = select(
      """
      DELETE FROM entries
      WHERE id = 3
      """)
    return "\(sum + 1) \(newest) \(max(sum, 4)) \(isLarge) \(text) \(long)"
  }

  private func select(_ text: String) -> String { text }
}

func report() {
  var ledger = Ledger(limit: 3)
  for value in [3, 0, 5, 7, 9] { print(ledger.add(value)) }
  ledger.trim(to: 2)
  print(ledger.find(5) ?? -2, ledger.find(4) ?? -2)
  print(ledger.summary(of: 1))
  print(ledger.log)
}

report()
