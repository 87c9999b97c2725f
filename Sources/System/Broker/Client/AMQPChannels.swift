/// What was sent on one opening of the publisher's channel.
struct AMQPSent {
  /// Publications by their delivery tags, which count from 1; those before `head` are settled.
  private var numbers: [UInt64] = []
  private var head = 0
  private var forgotten: UInt64 = 0
  /// Those that are not confirmed.
  var underWay = 0

  /// Publications between the oldest that is not settled and the latest.
  var span: Int { numbers.count - head }
  /// Their numbers.
  var open: ArraySlice<UInt64> { numbers[head...] }

  mutating func append(_ number: UInt64) {
    numbers.append(number)
    underWay += 1
  }

  /// The publications that a confirmation is about, some of which may be settled.
  func numbers(upTo tag: UInt64, multiple: Bool) -> ArraySlice<UInt64> {
    let settled = forgotten + UInt64(head)
    guard tag > settled, tag - settled <= UInt64(span) else { return [] }
    let last = head + Int(tag - settled) - 1
    return numbers[(multiple ? head : last)...last]
  }

  /// Forgets those at the front that are settled: they may be so in any order.
  mutating func forget(while isSettled: (UInt64) -> Bool) {
    while head < numbers.count, isSettled(numbers[head]) { head += 1 }
    guard head == numbers.count || head > 1024 && head * 2 > numbers.count else { return }
    forgotten += UInt64(head)
    numbers.removeFirst(head)
    head = 0
  }
}

/// The channels of one connection of a client, beside the publisher's. A process opens more of them in its life than
/// there are numbers, so numbers are used again.
struct AMQPChannels {
  /// The consumers by the numbers of their channels.
  private(set) var consumers: [UInt16: Int] = [:]
  /// Consumers that wait for a channel.
  var waiting: [Int] = []
  private var nextWaiting = 0
  private var unused: [UInt16] = []
  private var next: UInt16 = 2
  private let maximum: UInt16
  /// Channels that were closed here and by the broker not yet, with those that are to be opened again.
  private var closing: [UInt16: Int?] = [:]

  /// 0 stands for no limit.
  init(maximum: UInt16) { self.maximum = maximum == 0 ? .max - 1 : min(maximum, .max - 1) }

  /// A channel for the next consumer that waits, when there is one of both.
  mutating func takeNext(where isWanted: (Int) -> Bool) -> (channel: UInt16, consumer: Int)? {
    while nextWaiting < waiting.count, !isWanted(waiting[nextWaiting]) { nextWaiting += 1 }
    guard nextWaiting < waiting.count else {
      waiting = []
      nextWaiting = 0
      return nil
    }
    guard let channel = unused.popLast() ?? takeNew() else { return nil }
    defer { nextWaiting += 1 }
    consumers[channel] = waiting[nextWaiting]
    return (channel, waiting[nextWaiting])
  }

  private mutating func takeNew() -> UInt16? {
    guard next <= maximum else { return nil }
    defer { next += 1 }
    return next
  }

  func isClosing(_ channel: UInt16) -> Bool { closing[channel] != nil }

  mutating func close(_ channel: UInt16, reopeningFor consumer: Int? = nil) {
    consumers[channel] = nil
    closing[channel] = .some(consumer)
  }

  /// Notes that the broker has closed a channel too; the consumer for which it is to be opened again.
  mutating func closed(_ channel: UInt16, where isWanted: (Int) -> Bool) -> Int? {
    guard let consumer = closing.removeValue(forKey: channel) else { return nil }
    if let consumer, isWanted(consumer) {
      consumers[channel] = consumer
      return consumer
    }
    unused.append(channel)
    return nil
  }

  /// A number may be used again.
  mutating func free(_ channel: UInt16) {
    consumers[channel] = nil
    unused.append(channel)
  }
}
