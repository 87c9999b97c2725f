/// The publisher confirms of one channel: which publications are safe, which are refused, and which
/// answers say so. Publications are numbered from 1 and answered in order.
struct PublisherConfirms {
  private enum Fate {
    case pending, safe, refused
  }

  /// Whether the client has asked for confirms.
  var isEnabled = false
  /// The fates of the publications after the last one that was answered, from `head` on.
  private var fates: [Fate] = []
  private var head = 0
  private var lastAnswered: UInt64 = 0

  /// Numbers the next publication.
  mutating func expect() -> UInt64 {
    fates.append(.pending)
    return lastAnswered + UInt64(fates.count - head)
  }

  /// Notes that a publication is safe.
  mutating func confirm(_ tag: UInt64) { settle(tag, .safe) }

  /// Notes that a queue has refused a publication.
  mutating func refuse(_ tag: UInt64) { settle(tag, .refused) }

  private mutating func settle(_ tag: UInt64, _ fate: Fate) {
    guard tag > lastAnswered, tag - lastAnswered <= UInt64(fates.count - head) else { return }
    let place = head + Int(tag - lastAnswered) - 1
    if fates[place] == .pending { fates[place] = fate }
  }

  /// The answers to send now: one for all publications in a row that have the same fate.
  mutating func takeAnswers() -> [AMQPMethod] {
    var answers: [AMQPMethod] = []
    while head < fates.count, fates[head] != .pending {
      let fate = fates[head]
      var end = head + 1
      while end < fates.count, fates[end] == fate { end += 1 }
      let count = end - head
      lastAnswered += UInt64(count)
      head = end
      answers.append(
        fate == .safe
          ? .basicAck(tag: lastAnswered, multiple: count > 1)
          : .basicNack(tag: lastAnswered, multiple: count > 1, requeue: false))
    }
    // Each publication moves a constant number of times.
    if head == fates.count {
      fates.removeAll(keepingCapacity: head <= 4096)
      head = 0
    } else if head > 4096, head * 2 > fates.count {
      fates.removeFirst(head)
      head = 0
    }
    return answers
  }
}
