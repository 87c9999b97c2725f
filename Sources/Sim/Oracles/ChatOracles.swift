/// The oracles over the Chat Service.
enum ChatOracles {
  static let all = [
    Oracle("no-unexplained-5xx", "a service answers 5xx only because of a fault", .atOnce, over: \.chat, unexplained),
    Oracle("stored-once", "a repeated client_id stores nothing", .atOnce, over: \.chat, storedOnce),
    Oracle("one-order", "all participants see one order without gaps", .atOnce, over: \.chat, oneOrder),
    Oracle("durable", "an acknowledged message is never lost", .inTheEnd, over: \.chat, durable),
    Oracle("socket-order", "a socket receives messages in order, each once", .atOnce, over: \.chat, socketOrder),
    Oracle("complete", "a connected socket receives every message", .atRest, over: \.chat, complete),
    Oracle("recovered", "a recovered socket goes on where it stopped", .atOnce, over: \.chat, recovered),
    Oracle("typing", "who is connected is told that a friend is typing", .atOnce, over: \.chat, typing),
    Oracle("private", "only participants receive a message", .atOnce, over: \.chat, isPrivate),
    Oracle("presence", "presence says whether a user has an open socket", .atRest, over: \.chat, presence),
    Oracle("session-ended", "an ended session cannot be used after 5 s", .atOnce, over: \.chat, sessionEnded),
    Oracle("deleted", "a deleted account is in no contact list", .atRest, over: \.chat, deleted),
  ]

  static func breach(_ promise: String, _ events: [String]) -> [Breach] { [Breach(promise, events)] }

  static func say(_ sending: Sending) -> String {
    let answers = sending.acknowledgements.map { "message \($0.id), seq \($0.sequence)" }
    let result = sending.refusal ?? (answers.isEmpty ? "no answer" : answers.joined(separator: "; "))
    return
      "\(VirtualTime.text(sending.interval.invokedAt))–\(VirtualTime.text(sending.interval.answeredAt)) \(sending.person): \"\(sending.content)\" to \(sending.conversation) → \(result)"
  }

  static func say(_ fact: MessageFact) -> String {
    "\"\(fact.content)\" from user \(fact.sender): message \(fact.id), seq \(fact.sequence) of \(fact.conversation)"
  }

  /// The time-out of requests between services, in nanoseconds.
  private static let patience: Int64 = 5_000_000_000

  // MARK: Health

  static func unexplained(_ evidence: ChatEvidence) -> [Breach] {
    for call in evidence.calls {
      guard let status = call.status, status >= 500 else { continue }
      let isDisturbed = evidence.disturbances.contains {
        $0.lowerBound <= call.interval.answeredAt && call.interval.invokedAt <= $0.upperBound
      }
      let isLate = isLate(call.interval, evidence.delays)
      let isExplained = status == 503 && (isDisturbed || isLate)
      if !isExplained {
        return breach(
          "a service answers 5xx only because of a fault",
          ["\(VirtualTime.text(call.interval.invokedAt)) \(call.person): \(call.what) → \(status)"])
      }
    }
    return []
  }

  /// Whether the network alone explains a refusal. It does if the request took its whole time-out
  /// during a delay, or if segments between the services were delayed for most of that time before
  /// the answer: without news of ended sessions the Chat Service trusts a session only for a while.
  private static func isLate(_ call: Interval, _ delays: [ClosedRange<Int64>]) -> Bool {
    let begin = min(call.invokedAt, call.answeredAt - patience)
    let recent = delays.filter { $0.upperBound >= begin && $0.lowerBound <= call.answeredAt }
    if call.answeredAt - call.invokedAt >= patience { return !recent.isEmpty }
    var (heldUp, end) = (Int64(0), begin)
    for delay in recent.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      let last = min(delay.upperBound, call.answeredAt)
      heldUp += max(0, last - max(end, delay.lowerBound))
      end = max(end, last)
    }
    return heldUp > patience / 2
  }
}
