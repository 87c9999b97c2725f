import System

/// The oracles over messages in queues.
enum QueueOracles {
  static let all = [
    Oracle(
      "dead-letters", "a message that cannot be read goes to the dead letters", .inTheEnd, over: \.sessions, deadLetters
    ),
    Oracle("worked-off", "a confirmed message is delivered until it is acknowledged", .inTheEnd, over: \.sessions.work)
    {
      $0.flatMap(workedOff)
    },
    Oracle(
      "worked-in-order", "the messages of one publisher are delivered to one consumer in their order", .atOnce,
      over: \.sessions.work
    ) { $0.flatMap(workedInOrder) },
  ]

  /// Every message that no service can read is a dead letter. It may be one twice.
  static func deadLetters(_ history: SessionHistory) -> [Breach] {
    guard history.poison > 0, let queues = history.overview?["QUEUES"]?.array else { return [] }
    let letters = queues.first { $0["QUEUE"] == "PARLEY_DEAD_LETTER" }?["MESSAGES"]?.int ?? 0
    guard letters < history.poison else { return [] }
    return [Breach(["\(history.poison) unreadable messages were published; \(letters) are dead letters"])]
  }

  /// Every message that the broker has confirmed is worked off.
  static func workedOff(_ log: WorkLog) -> [Breach] {
    guard log.confirmed > 0, let lost = (1...log.confirmed).first(where: { !log.isDone($0) }) else { return [] }
    return [Breach(["\(log.worker): message \(lost) of \(log.confirmed) was confirmed and never acknowledged"])]
  }

  /// New messages arrive in the order of publication. Only a message that arrived before may arrive
  /// out of order.
  static func workedInOrder(_ log: WorkLog) -> [Breach] {
    var last = 0
    for (number, time) in log.done {
      guard number <= last + 1 else {
        let at = VirtualTime.text(time)
        return [Breach(["\(log.worker): message \(number) was acknowledged at \(at), before message \(last + 1)"])]
      }
      last = max(last, number)
    }
    return []
  }
}
