/// A message in one queue. A million of them are in memory at once, so it has 32 bytes.
struct QueueEntry: Sendable {
  private struct Flags: OptionSet, Sendable {
    let rawValue: UInt8
    static let redelivered = Flags(rawValue: 1)
    static let durable = Flags(rawValue: 2)
    static let instant = Flags(rawValue: 4)
  }

  /// Later messages have higher ids. A message that is requeued keeps its id.
  let id: Int64
  /// nil while the message is only on the disk.
  var message: BrokerMessage?
  /// Wall-clock time in milliseconds; 0 for never.
  let expires: Int64
  /// The size of the body. A body has at most 128 MiB.
  let bodyBytes: UInt32
  /// At most the highest priority of its queue.
  let priority: UInt8
  private var flags: Flags
  /// Times that it has returned to a quorum queue. It saturates.
  private(set) var returns: UInt16 = 0

  init(
    id: Int64, message: BrokerMessage?, expires: Int64, isRedelivered: Bool = false, isDurable: Bool,
    bodyBytes: UInt32 = 0, priority: UInt8 = 0
  ) {
    self.id = id
    self.message = message
    self.expires = expires
    self.bodyBytes = bodyBytes
    self.priority = priority
    flags = isDurable ? .durable : []
    if isRedelivered { flags.insert(.redelivered) }
  }

  private func has(_ flag: Flags) -> Bool { flags.contains(flag) }
  private mutating func set(_ flag: Flags, _ isSet: Bool) {
    if isSet { flags.insert(flag) } else { flags.remove(flag) }
  }

  /// Whether it may have been delivered before.
  var isRedelivered: Bool {
    get { has(.redelivered) }
    set { set(.redelivered, newValue) }
  }

  /// Whether it is on the disk, or will be after the next commit.
  var isDurable: Bool { has(.durable) }

  /// Whether it may be delivered although its lifetime is 0: it came to an empty queue in this
  /// instant.
  var isInstant: Bool {
    get { has(.instant) }
    set { set(.instant, newValue) }
  }

  /// Notes that it returns to its queue.
  mutating func noteReturn() {
    isRedelivered = true
    isInstant = false
    if returns < .max { returns += 1 }
  }

  /// Whether its lifetime is over.
  func isExpired(at now: Int64) -> Bool { expires != 0 && expires <= now }
}
