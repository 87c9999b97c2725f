/// Steps that were sent together, and what the broker has said about them.
struct MethodExchange {
  private(set) var steps: [MethodStep]
  /// The deliveries to consumers.
  private(set) var heard: [QueueModel.Delivery] = []
  /// The numbers of returned messages.
  private var returned: Set<Int> = []
  /// The answers that have come for the first step of each channel that waits.
  private var answers: [Int: Int] = [:]

  init(_ steps: [MethodStep]) {
    self.steps = steps
    for index in steps.indices {
      if case .none = steps[index].answer { continue }
      waiting.append(index)
    }
  }

  /// The steps that wait for an answer.
  private var waiting: [Int] = []

  var isAnswered: Bool { waiting.isEmpty }

  /// A message that came and that the client may have to settle.
  typealias Arrival = (number: Int, channel: Int, tag: Int, noAck: Bool)

  /// Notes a method of the broker. Returns the message in it.
  mutating func note(_ frame: BrokerFrame) -> Arrival? {
    let channel = frame.channel - 1
    switch frame.name {
    case "basic.deliver":
      let delivery = QueueModel.Delivery(
        channel: channel, consumer: frame.texts["consumer-tag"] ?? "", tag: frame.numbers["delivery-tag"] ?? 0,
        number: Self.number(frame.body), isRedelivered: frame.numbers["redelivered"] == 1)
      heard.append(delivery)
      let isUnheld = delivery.consumer == MethodWorker.replies || delivery.consumer.hasSuffix(Self.unheld)
      return (delivery.number, channel, delivery.tag, isUnheld)
    case "basic.return":
      returned.insert(Self.number(frame.body))
      return nil
    case "basic.ack", "basic.nack":
      confirm(
        frame.numbers["delivery-tag"] ?? 0, isMultiple: frame.numbers["multiple"] == 1,
        isRefused: frame.name == "basic.nack")
      return nil
    case "connection.blocked", "connection.unblocked": return nil
    default: return answer(frame, channel)
    }
  }

  /// The end of the tags of consumers that do not acknowledge.
  static let unheld = "-unheld"

  private static func number(_ body: [UInt8]) -> Int {
    body.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }.reduce(0) { 10 * $0 + Int($1 - 48) }
  }

  private mutating func confirm(_ tag: Int, isMultiple: Bool, isRefused: Bool) {
    for index in waiting {
      guard case .confirm(let own) = steps[index].answer, own == tag || isMultiple && own < tag,
        case .publish(let publication, _) = steps[index].belief.input
      else { continue }
      let fate: QueueModel.Fate =
        isRefused ? .refused : returned.contains(publication.message.number) ? .returned : .confirmed
      var isStored = false
      if case .queue = publication.route { isStored = publication.message.isPersistent && fate == .confirmed }
      end(index, .publish(publication, fate), isOnDisk: isStored)
    }
  }

  private mutating func end(_ index: Int, _ input: QueueModel.Input, isOnDisk: Bool) {
    steps[index].belief = QueueBelief.Step(input: input, isAnswered: true, isOnDisk: isOnDisk)
    waiting.removeAll { $0 == index }
  }

  private mutating func answer(_ frame: BrokerFrame, _ channel: Int) -> Arrival? {
    let found = waiting.first { index in
      if case .methods(channel, _) = steps[index].answer { true } else { false }
    }
    guard let index = found, case .methods(_, let wanted) = steps[index].answer else { return nil }
    answers[channel, default: 0] += 1
    guard answers[channel] == wanted else { return nil }
    answers[channel] = 0
    let count = frame.numbers["message-count"] ?? -1
    switch steps[index].belief.input {
    case .get(let queue, let channel, let noAck, _):
      guard frame.name == "basic.get-ok" else {
        end(index, .get(queue, channel: channel, noAck: noAck, .empty), isOnDisk: false)
        return nil
      }
      let (number, tag) = (Self.number(frame.body), frame.numbers["delivery-tag"] ?? 0)
      let got = QueueModel.Got.message(
        number, tag: tag, isRedelivered: frame.numbers["redelivered"] == 1, left: count)
      end(index, .get(queue, channel: channel, noAck: noAck, got), isOnDisk: false)
      return (number, channel, tag, noAck)
    case .purge(let queue, _): end(index, .purge(queue, count: count), isOnDisk: true)
    case .count(let queue, _, _):
      let consumers = frame.numbers["consumer-count"] ?? -1
      end(index, .count(queue, ready: count, consumers: consumers), isOnDisk: true)
    case let input:
      let isOnDisk =
        switch input {
        case .bind, .deleteExchange, .transaction(_, _, isCommitted: true): true
        default: false
        }
      end(index, input, isOnDisk: isOnDisk)
    }
    return nil
  }
}
