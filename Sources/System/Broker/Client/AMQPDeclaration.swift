/// An exchange or a queue that a client needs. The client declares it on each new connection.
public enum AMQPDeclaration: Hashable, Sendable {
  /// A durable direct exchange.
  case exchange(String)
  /// A durable queue, bound to an exchange by its own name.
  case queue(String, exchange: String)
  /// A durable queue with arguments, for example limits. Messages reach it through the default
  /// exchange.
  case limitedQueue(String, arguments: AMQPTable)

  /// Whether its names are short strings.
  var isFrameable: Bool {
    switch self {
    case .exchange(let name), .limitedQueue(let name, _): name.utf8.count <= AMQPWriter.maximumShortString
    case .queue(let name, let exchange):
      max(name.utf8.count, exchange.utf8.count) <= AMQPWriter.maximumShortString
    }
  }

  /// Writes the methods that declare it, without asking for an answer.
  func write(on channel: UInt16, to output: inout [UInt8]) {
    switch self {
    case .exchange(let name):
      var declaration = AMQPMethod.ExchangeDeclaration()
      declaration.exchange = name
      declaration.durable = true
      declaration.noWait = true
      AMQPFrames.write(.exchangeDeclare(declaration), channel, to: &output)
    case .limitedQueue(let name, let arguments):
      let declaration = AMQPMethod.QueueDeclaration(queue: name, durable: true, noWait: true, arguments: arguments)
      AMQPFrames.write(.queueDeclare(declaration), channel, to: &output)
    case .queue(let name, let exchange):
      var declaration = AMQPMethod.QueueDeclaration()
      declaration.queue = name
      declaration.durable = true
      declaration.noWait = true
      AMQPFrames.write(.queueDeclare(declaration), channel, to: &output)
      guard !exchange.isEmpty else { return }
      AMQPFrames.write(
        .queueBind(queue: name, exchange: exchange, routingKey: name, noWait: true, arguments: AMQPTable()),
        channel, to: &output)
    }
  }
}

/// A broker's refusal of a declaration. It stays until an operator changes the broker.
struct AMQPDeclarationRefusal: Error, Hashable, CustomStringConvertible {
  /// The method that was refused, for example `queue.declare`.
  let method: String
  /// The broker's error. Its text names the exchange or queue.
  let error: AMQPError

  /// Returns nil unless a channel was closed because of a declaration, with an error that a new
  /// connection does not mend. Another error, such as 404 for an exchange that was just deleted,
  /// goes away when everything is declared again.
  init?(_ error: AMQPError, classID: UInt16, methodID: UInt16) {
    guard [403, 405, 406].contains(error.code) else { return nil }
    switch (classID, methodID) {
    case (40, 10): method = "exchange.declare"
    case (50, 10): method = "queue.declare"
    case (50, 20): method = "queue.bind"
    default: return nil
    }
    self.error = error
  }

  /// The remedy, for an operator.
  var remedy: String {
    switch (error.code, method) {
    case (403, _): "allow the user of this service to configure it"
    case (405, _): "end the connection that has declared the queue exclusive"
    case (_, "exchange.declare"): "delete the exchange, or declare it durable and of type direct"
    default: "delete the queue, or declare it durable, not exclusive, not auto-delete and without arguments"
    }
  }

  var description: String { "the broker refuses \(method) (\(error.code) \(error.reason)): \(remedy)" }
}
