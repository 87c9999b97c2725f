/// The limit on the deliveries that all consumers of a channel hold together (`basic.qos` with
/// `global`), as RabbitMQ 3.10 counts them. When it is reached, no consumer gets another message,
/// not even one that does not acknowledge.
struct SharedPrefetch {
  /// 0 for no limit.
  private var limit = 0
  /// Deliveries to consumers that are not settled. Unsettled messages of `basic.get` count if they
  /// were delivered before the limit was set.
  private var held = 0

  /// Whether no consumer gets another message.
  var isReached: Bool { limit != 0 && held >= limit }
  var isLimited: Bool { limit != 0 }

  /// Sets another limit; 0 for none. The channel holds `unsettled` messages.
  mutating func change(to limit: Int, unsettled: Int) {
    if limit == 0 { held = 0 } else if self.limit == 0 { held = unsettled }
    self.limit = limit
  }

  /// Counts a delivery that has to be settled.
  mutating func deliver() { if limit != 0 { held += 1 } }

  /// Counts deliveries to consumers that were settled.
  mutating func settle(_ count: Int) { if limit != 0, held != 0 { held -= count } }
}
