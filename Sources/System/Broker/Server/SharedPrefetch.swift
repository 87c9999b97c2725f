/// The deliveries that the consumers of a channel may hold together (`basic.qos` with `global`), as
/// RabbitMQ 3.10 counts them. Once they hold so many, none of them gets another message, whether or
/// not it acknowledges.
struct SharedPrefetch {
  /// 0 for no limit.
  private var limit = 0
  /// Deliveries to consumers that are not settled. Messages that were got with `basic.get` before
  /// there was a limit are counted until there is none. Later ones are not.
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
