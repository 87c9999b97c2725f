/// The publisher confirms of one channel: which publications are safe, and which acknowledgement says
/// so. Publications are numbered from 1 and acknowledged in order.
struct PublisherConfirms {
  /// Whether the client has asked for confirms.
  var isEnabled = false
  private var last: UInt64 = 0
  /// Publications that are not safe yet.
  private var pending: Set<UInt64> = []
  /// Safe publications that wait for an earlier one.
  private var safe: Set<UInt64> = []
  private var lastAcknowledged: UInt64 = 0

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

  /// The acknowledgement to send now: one for all publications that it can be about.
  mutating func takeAcknowledgement() -> AMQPMethod? {
    guard !safe.isEmpty else { return nil }
    var tag = lastAcknowledged
    while safe.remove(tag + 1) != nil { tag += 1 }
    guard tag > lastAcknowledged else { return nil }
    defer { lastAcknowledged = tag }
    return .basicAck(tag: tag, multiple: tag > lastAcknowledged + 1)
  }
}
