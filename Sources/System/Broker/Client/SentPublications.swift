/// The publications that were sent since the publisher's channel was opened, by delivery tag. Tags
/// count from 1.
struct SentPublications {
  /// Numbers of publications; 0 once settled. Everything before `head` is settled.
  private var numbers: [UInt64] = []
  private var head = 0
  /// Tags that were removed from the front of `numbers`.
  private var removed: UInt64 = 0
  /// Publications that are not settled.
  private(set) var outstanding = 0

  /// Tags between the oldest publication that is not settled and the latest.
  var span: Int { numbers.count - head }
  /// The oldest publication that is not settled.
  var oldest: UInt64? { head < numbers.count ? numbers[head] : nil }

  /// Assigns the next tag to a publication. Numbers are positive.
  mutating func append(_ number: UInt64) {
    numbers.append(number)
    outstanding += 1
  }

  /// Settles the publication of a tag, or with `multiple` all up to it. Returns those that were not
  /// settled before, oldest first. An unknown tag settles nothing.
  mutating func settle(upTo tag: UInt64, multiple: Bool) -> [UInt64] {
    let before = removed + UInt64(head)
    guard tag > before, tag - before <= UInt64(span) else { return [] }
    let last = head + Int(tag - before) - 1
    let first = multiple ? head : last
    let settled = numbers[first...last].filter { $0 != 0 }
    for index in first...last { numbers[index] = 0 }
    outstanding -= settled.count
    while head < numbers.count, numbers[head] == 0 { head += 1 }
    if head == numbers.count || head > 1024 && head * 2 > numbers.count {
      removed += UInt64(head)
      numbers.removeFirst(head)
      head = 0
    }
    return settled
  }
}
