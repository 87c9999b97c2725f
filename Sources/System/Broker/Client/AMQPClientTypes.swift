import Environment

/// A message from a queue.
public struct AMQPDelivery: Sendable {
  /// Its properties.
  public let properties: AMQPProperties
  /// Its body.
  public let body: [UInt8]
  /// Whether it may have been delivered before.
  public let isRedelivered: Bool
  let tag: UInt64
  /// Why it cannot be handled, when it came without its properties or its body: they cannot be read or
  /// are too large.
  var fault: String?

  /// Bytes that it holds, about.
  var size: Int { body.count + 1024 }
}

/// A message for a broker.
public struct AMQPMessage: Sendable {
  /// Where to: the default exchange has no name.
  public var exchange: String
  /// The routing key; at the default exchange, a queue.
  public var routingKey: String
  /// Its properties.
  public var properties: AMQPProperties
  /// Its body.
  public var body: [UInt8]

  /// Makes a message.
  public init(exchange: String, routingKey: String, properties: AMQPProperties, body: [UInt8]) {
    self.exchange = exchange
    self.routingKey = routingKey
    self.properties = properties
    self.body = body
  }
}

/// What a client wants to be there: declared anew with each connection.
public enum AMQPDeclaration: Hashable, Sendable {
  /// A durable direct exchange.
  case exchange(String)
  /// A durable queue, bound to an exchange by its own name.
  case queue(String, exchange: String)

  /// Whether its names are short strings.
  var isFrameable: Bool {
    switch self {
    case .exchange(let name): name.utf8.count <= AMQPWriter.maximumShortString
    case .queue(let name, let exchange):
      max(name.utf8.count, exchange.utf8.count) <= AMQPWriter.maximumShortString
    }
  }
}

/// Where a broker is, and how to log in.
public struct BrokerAddress: Hashable, Sendable {
  /// Where it listens.
  public var address: SocketAddress
  /// The name to log in with.
  public var user: String
  /// The password.
  public var password: String

  /// Makes an address.
  public init(address: SocketAddress, user: String = "guest", password: String = "guest") {
    self.address = address
    self.user = user
    self.password = password
  }
}

/// What the client says to have things there, and to hear of them.
extension AMQPFrames {
  static func write(_ declaration: AMQPDeclaration, _ channel: UInt16, to output: inout [UInt8]) {
    switch declaration {
    case .exchange(let name):
      var wanted = AMQPMethod.ExchangeDeclaration()
      wanted.exchange = name
      wanted.durable = true
      wanted.noWait = true
      write(.exchangeDeclare(wanted), channel, to: &output)
    case .queue(let name, let exchange):
      var wanted = AMQPMethod.QueueDeclaration()
      wanted.queue = name
      wanted.durable = true
      wanted.noWait = true
      write(.queueDeclare(wanted), channel, to: &output)
      guard !exchange.isEmpty else { return }
      write(
        .queueBind(queue: name, exchange: exchange, routingKey: name, noWait: true, arguments: AMQPTable()),
        channel, to: &output)
    }
  }

  /// A channel of its own with one consumer.
  static func writeConsumer(
    of queue: String, isExclusive: Bool, prefetch: UInt16, _ channel: UInt16, to output: inout [UInt8]
  ) {
    write(.channelOpen, channel, to: &output)
    write(.basicQos(size: 0, count: prefetch, isGlobal: false), channel, to: &output)
    var wanted = AMQPMethod.Consumption()
    wanted.queue = queue
    wanted.tag = "c\(channel)"
    wanted.exclusive = isExclusive
    wanted.noWait = true
    write(.basicConsume(wanted), channel, to: &output)
  }
}

/// What a client has published and not heard of.
struct AMQPPublication {
  let exchange: String
  let routingKey: String
  let properties: [UInt8]
  let body: [UInt8]
  let batch: AMQPBatch

  /// Bytes that it holds, about.
  var size: Int { body.count + properties.count + 256 }
}

/// Publications that are waited for together. Used on the client's actor.
final class AMQPBatch {
  private var remaining: Int
  private var refusal: (any Error)?
  var continuation: UnsafeContinuation<Void, any Error>?

  init(_ count: Int) { remaining = count }

  /// One is confirmed, or refused.
  func settled(_ error: (any Error)? = nil) {
    remaining -= 1
    refusal = refusal ?? error
    guard remaining == 0 else { return }
    if let refusal { return failed(refusal) }
    continuation?.resume()
    continuation = nil
  }

  func failed(_ error: any Error) {
    continuation?.resume(throwing: error)
    continuation = nil
  }
}

/// What a client consumes. Used on its actor.
struct AMQPConsumer {
  let queue: String
  let isExclusive: Bool
  let handler: AMQPClient.Handler
  var waiting: [AMQPDelivery] = []
  var isWorking = false
  /// Which opening of a channel it is. Tags count from 1 on each, so what came on an earlier one is not settled on this one.
  var opening = 0
  /// The channel that it has on this connection.
  var channel: UInt16?
  /// Whether the channel is open, as far as is known here.
  var isOpen = false
}
