/// The channels of one connection, beside the publisher's: each consumer has one. A process opens
/// more channels in its life than there are numbers, so numbers are used again.
struct AMQPChannels {
  /// Consumers by the numbers of their channels.
  private(set) var consumers: [UInt16: Int] = [:]
  /// Consumers that wait for a channel, from `nextWaiting` on.
  private var waiting: [Int] = []
  private var nextWaiting = 0
  private var unused: [UInt16] = []
  private var next: UInt16 = 2
  private let maximum: UInt16
  /// Channels that were closed here and not yet by the broker, with the consumers that reopen them.
  private var closing: [UInt16: Int?] = [:]

  /// Channels up to a number; 0 stands for no limit.
  init(maximum: UInt16) { self.maximum = maximum == 0 ? .max - 1 : min(maximum, .max - 1) }

  /// Lets a consumer wait for a channel.
  mutating func wait(_ consumer: Int) { waiting.append(consumer) }

  /// Assigns a channel to the next waiting consumer. Returns nil when there is no channel or no
  /// consumer.
  mutating func assignNext(where isWanted: (Int) -> Bool) -> (channel: UInt16, consumer: Int)? {
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

  /// Whether a channel waits for the broker's answer to its close.
  func isClosing(_ channel: UInt16) -> Bool { closing[channel] != nil }

  /// Notes that a channel is closed here, and whether a consumer reopens it.
  mutating func close(_ channel: UInt16, reopeningFor consumer: Int? = nil) {
    consumers[channel] = nil
    closing[channel] = .some(consumer)
  }

  /// Notes that the broker has closed a channel too. Returns the consumer that reopens it.
  mutating func closed(_ channel: UInt16, where isWanted: (Int) -> Bool) -> Int? {
    guard let consumer = closing.removeValue(forKey: channel) else { return nil }
    if let consumer, isWanted(consumer) {
      consumers[channel] = consumer
      return consumer
    }
    unused.append(channel)
    return nil
  }

  /// Lets a number be used again.
  mutating func free(_ channel: UInt16) {
    consumers[channel] = nil
    unused.append(channel)
  }
}
