/// The publisher confirms of one channel: which publications are safe, which are refused, and which
/// answers say so. Publications are numbered from 1 and answered in order.
struct PublisherConfirms {
  /// Whether the client has asked for confirms.
  var isEnabled = false
  private var last: UInt64 = 0
  /// Publications that are not safe yet.
  private var pending: Set<UInt64> = []
  /// Safe publications, and refused ones, that wait for an earlier one.
  private var safe: Set<UInt64> = []
  private var refused: Set<UInt64> = []
  private var lastAnswered: UInt64 = 0

  /// Numbers the next publication.
  mutating func expect() -> UInt64 {
    last += 1
    pending.insert(last)
    return last
  }

  /// Notes that a publication is safe.
  mutating func confirm(_ tag: UInt64) {
    guard pending.remove(tag) != nil else { return }
    safe.insert(tag)
  }

  /// Notes that a queue has refused a publication.
  mutating func refuse(_ tag: UInt64) {
    guard pending.remove(tag) != nil else { return }
    refused.insert(tag)
  }

  /// The answers to send now: one for all publications in a row that have the same fate.
  mutating func takeAnswers() -> [AMQPMethod] {
    guard !safe.isEmpty || !refused.isEmpty else { return [] }
    var answers: [AMQPMethod] = []
    while true {
      var tag = lastAnswered
      while safe.remove(tag + 1) != nil { tag += 1 }
      if tag > lastAnswered {
        answers.append(.basicAck(tag: tag, multiple: tag > lastAnswered + 1))
        lastAnswered = tag
      }
      while refused.remove(tag + 1) != nil { tag += 1 }
      guard tag > lastAnswered else { return answers }
      answers.append(.basicNack(tag: tag, multiple: tag > lastAnswered + 1, requeue: false))
      lastAnswered = tag
    }
  }
}
