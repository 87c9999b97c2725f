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
      "acknowledged-once", "a message that was acknowledged is not delivered again", .atOnce, over: \.self
    ) { evidence in evidence.sessions.work.flatMap { acknowledgedOnce($0, evidence.callers.disturbances) } },
    Oracle(
      "worked-in-order", "the messages of one publisher are delivered to one consumer in their order", .atOnce,
      over: \.sessions.work
    ) { $0.flatMap(workedInOrder) },
    Oracle(
      "expires-in-time",
      "a message expires after its time to live, never before it and soon after it, and becomes a dead letter",
      .inTheEnd, over: \.self
    ) { evidence in evidence.sessions.limits.flatMap { expiresInTime($0, evidence.callers.disturbances) } },
    Oracle(
      "higher-first", "messages that wait together are delivered by priority, then in order", .atOnce,
      over: \.sessions.limits
    ) { $0.flatMap(higherFirst) },
    Oracle(
      "within-length", "a full queue keeps at most its length, the newest messages, and dead-letters the others",
      .atOnce, over: \.sessions.limits
    ) { $0.flatMap(withinLength) },
    Oracle(
      "queue-model", "queues give their messages as the model says, and answer while no fault is there", .atOnce,
      over: \.self
    ) { evidence in evidence.sessions.methods.flatMap { queueModel($0, evidence.callers.disturbances) } },
  ]

  /// Every message that no service can read is a dead letter, unless an operator has dropped it. It
  /// may be one twice.
  static func deadLetters(_ history: SessionHistory) -> [Breach] {
    if let letters = history.letterIDs {
      let kept = letters.union(history.droppedIDs)
      if let lost = history.poisonIDs.first(where: { !kept.contains($0) }) {
        return [Breach(["the unreadable message \(lost) is no dead letter, and nobody has dropped it"])]
      }
    }
    guard history.poison > 0, let queues = history.overview?["QUEUES"]?.array else { return [] }
    let letters = queues.first { $0["QUEUE"] == "PARLEY_DEAD_LETTER" }?["MESSAGES"]?.int ?? 0
    guard letters < history.poison - history.lettersDropped else { return [] }
    return [
      Breach([
        "\(history.poison) unreadable messages were published; \(letters) are dead letters, "
          + "and at most \(history.lettersDropped) were dropped"
      ])
    ]
  }

  /// Every message that the broker has confirmed is worked off.
  static func workedOff(_ log: WorkLog) -> [Breach] {
    guard log.confirmed > 0, let lost = (1...log.confirmed).first(where: { !log.isDone($0) }) else { return [] }
    return [Breach(["\(log.worker): message \(lost) of \(log.confirmed) was confirmed and never acknowledged"])]
  }

  /// The time in which an acknowledgement reaches the disk of the broker, in nanoseconds.
  private static let settling: Int64 = 3_000_000_000

  /// A message does not come back if no fault disturbed its publication, its delivery, its
  /// acknowledgement and some time after that, whatever strikes the broker later.
  ///
  /// A publication that is disturbed may be repeated. Then the queue has the message twice, and the
  /// second one waits there for as long as those before it take.
  static func acknowledgedOnce(_ log: WorkLog, _ disturbances: [ClosedRange<Int64>]) -> [Breach] {
    var settled: [Int: (acknowledged: Int64, end: Int64)] = [:]
    func isDisturbed(_ begin: Int64, _ end: Int64) -> Bool {
      disturbances.contains { $0.lowerBound <= end && begin <= $0.upperBound }
    }
    let published = Set(log.publications.filter { !isDisturbed($0.from, $0.to) }.flatMap(\.numbers))
    for (number, begin, time) in log.acknowledged where settled[number] == nil {
      let end = time + settling
      if published.contains(number), !isDisturbed(begin, end) {
        settled[number] = (time, end)
      }
    }
    guard
      let again = log.deliveries.first(where: { delivery in
        settled[delivery.number].map { $0.end < delivery.at } ?? false
      })
    else { return [] }
    return [
      Breach([
        "\(log.worker): message \(again.number) was acknowledged at"
          + " \(VirtualTime.text(settled[again.number]!.acknowledged)), and delivered at \(VirtualTime.text(again.at))"
      ])
    ]
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

  // MARK: Limits

  /// A message becomes a dead letter after its time to live, within the worker's patience, and soon
  /// if no fault is there. A clock that jumps may make it expire early or late.
  static func expiresInTime(_ log: LimitsLog, _ disturbances: [ClosedRange<Int64>]) -> [Breach] {
    let drift = LimitsLog.drift(of: log.timeToLive)
    for (number, life) in log.lives.enumerated() {
      guard let end = life.expired else {
        guard life.confirmed != nil else { continue }
        return [Breach(["\(log.worker): message \(number) was confirmed, and never became a dead letter"])]
      }
      guard log.hasSteadyClocks else { continue }
      let isEarly = end - life.published < log.timeToLive - drift
      var isLate = false
      // The time begins with the confirmation at the latest.
      if let confirmed = life.confirmed, case let due = confirmed + log.timeToLive + drift + LimitsLog.lateness,
        end > due
      {
        isLate = !disturbances.contains { $0.overlaps(life.published...due) }
      }
      guard isEarly || isLate else { continue }
      return [
        Breach([
          "\(log.worker): message \(number) of \(VirtualTime.text(life.published)) expired at \(VirtualTime.text(end)),"
            + " and its time to live is \(VirtualTime.text(log.timeToLive))"
        ])
      ]
    }
    return []
  }

  static func higherFirst(_ log: LimitsLog) -> [Breach] {
    for round in log.priorityRounds {
      for (earlier, later) in zip(round, round.dropFirst())
      where (-earlier.priority, earlier.number) > (-later.priority, later.number) {
        return [
          Breach([
            "\(log.worker): message \(earlier.number) of priority \(earlier.priority) came before \(later.number)"
              + " of priority \(later.priority)"
          ])
        ]
      }
    }
    return []
  }

  static func withinLength(_ log: LimitsLog) -> [Breach] {
    for round in log.lengthRounds where round.isOver {
      if round.keptAlone.count > LimitsLog.length {
        let numbers = round.keptAlone.sorted().map(String.init).joined(separator: ", ")
        return [
          Breach([
            "\(log.worker): the messages \(numbers) of \(round.published) were in a queue of length \(LimitsLog.length)"
          ])
        ]
      }
      if let lost = (1...round.published).first(where: { !round.kept.contains($0) && !round.dropped.contains($0) }) {
        return [Breach(["\(log.worker): message \(lost) of \(round.published) was neither kept nor dead-lettered"])]
      }
      if !round.hasRepeats, !round.kept.contains(round.published) {
        return [Breach(["\(log.worker): the newest message, \(round.published), was not kept"])]
      }
    }
    return []
  }

  // MARK: Methods

  static func queueModel(_ log: MethodLog, _ disturbances: [ClosedRange<Int64>]) -> [Breach] {
    if let breach = log.breach {
      return [Breach("queues give their messages as the model says", ["\(log.worker):"] + breach)]
    }
    let missing = log.missing.first { missing in !disturbances.contains { $0.overlaps(missing.time) } }
    guard let (what, time) = missing else { return [] }
    let times = "from \(VirtualTime.text(time.lowerBound)) to \(VirtualTime.text(time.upperBound))"
    return [Breach("a queue answers while no fault is there", ["\(log.worker): \(times) nothing came: \(what)"])]
  }
}
