import Environment

/// Serves methods that change exchanges, queues or bindings. The answers say that the change is on
/// the disk, so they wait for the commit. Used on the broker's actor.
struct TopologyCommands {
  let environment: Environment
  let topology: BrokerTopology
  let ledger: MessageLedger
  let removals: Removals
  let replies: DirectReplies
  let idle: IdleQueues
  let planted: PlantedBugs

  func serve(_ method: AMQPMethod, _ channel: BrokerChannel) throws(AMQPError) -> AMQPMethod? {
    let client = channel.connection.id
    switch method.withoutLineBreaks {
    case .accessRequest: return .accessRequestOk(ticket: 1)
    case .exchangeDeclare(let declaration):
      try topology.declare(declaration)
      return held(.exchangeDeclareOk, unless: declaration.noWait, channel)
    case .exchangeDelete(let name, let ifUnused, let noWait):
      try topology.deleteExchange(name, ifUnused: ifUnused)
      return held(.exchangeDeleteOk, unless: noWait, channel)
    case .exchangeBind(let destination, let source, let key, let noWait, let arguments):
      try topology.bind(
        Binding(.exchange(destination), routingKey: key, arguments: arguments), to: source, for: client)
      return held(.exchangeBindOk, unless: noWait, channel)
    case .exchangeUnbind(let destination, let source, let key, let noWait, let arguments):
      try topology.unbind(
        Binding(.exchange(destination), routingKey: key, arguments: arguments), from: source, for: client)
      return held(.exchangeUnbindOk, unless: noWait, channel)
    case .queueBind(let name, let exchange, let key, let noWait, let arguments):
      try topology.bind(try binding(name, key, arguments, channel), to: exchange, for: client)
      return held(.queueBindOk, unless: noWait, channel)
    case .queueUnbind(let name, let exchange, let key, let arguments):
      try topology.unbind(try binding(name, key, arguments, channel), from: exchange, for: client)
      return held(.queueUnbindOk, unless: false, channel)
    case let method: return try serveQueue(method, channel)
    }
  }

  private func serveQueue(_ method: AMQPMethod, _ channel: BrokerChannel) throws(AMQPError) -> AMQPMethod? {
    switch method {
    case .queueDeclare(let declaration):
      if DirectReplies.isReply(declaration.queue) { return try answerReply(declaration, channel) }
      let queue = try declare(declaration, channel)
      channel.lastQueue = queue.name
      idle.noteUse(of: queue)
      return held(
        .queueDeclareOk(
          queue: queue.name, messages: UInt32(clamping: queue.count),
          consumers: UInt32(clamping: queue.consumerCount)),
        unless: declaration.noWait, channel)
    case .queuePurge(let name, let noWait):
      let count = ledger.purge(try queue(name, channel))
      return held(.queuePurgeOk(messages: UInt32(clamping: count)), unless: noWait, channel)
    case .queueDelete(let name, let ifUnused, let ifEmpty, let noWait):
      let name = try self.name(name, channel)
      // Deleting a queue that does not exist is no error, as in RabbitMQ since 3.2.
      guard topology.queue(name) != nil else { return noWait ? nil : .queueDeleteOk(messages: 0) }
      let queue = try queue(name, channel)
      if ifEmpty, queue.count > 0 {
        throw AMQPError(406, "PRECONDITION_FAILED - queue '\(queue.name)' in vhost '/' not empty")
      }
      if ifUnused, queue.consumerCount > 0 {
        throw AMQPError(406, "PRECONDITION_FAILED - queue '\(queue.name)' in vhost '/' in use")
      }
      let count = queue.count
      // The answer precedes the end of consumers on this channel.
      if let answer = held(.queueDeleteOk(messages: UInt32(clamping: count)), unless: noWait, channel) {
        channel.send(answer)
      }
      removals.delete(queue, owner: queue.owner == nil ? nil : channel.connection)
      return nil
    default: throw AMQPError(503, "COMMAND_INVALID - unimplemented method")
    }
  }

  /// Answers the declaration of a pseudo-queue for direct replies. It declares nothing.
  private func answerReply(
    _ declaration: AMQPMethod.QueueDeclaration, _ channel: BrokerChannel
  ) throws(AMQPError) -> AMQPMethod? {
    guard replies.exists(declaration.queue) else { throw BrokerTopology.noQueue(declaration.queue) }
    channel.lastQueue = declaration.queue
    return declaration.noWait ? nil : .queueDeclareOk(queue: declaration.queue, messages: 0, consumers: 1)
  }

  private func held(_ method: AMQPMethod, unless noWait: Bool, _ channel: BrokerChannel) -> AMQPMethod? {
    if noWait { return nil }
    channel.connection.output.hold()
    return method
  }

  /// A name; an empty one stands for the queue that was declared last.
  func name(_ name: String, _ channel: BrokerChannel) throws(AMQPError) -> String {
    guard name.isEmpty else { return name }
    guard !channel.lastQueue.isEmpty else { throw AMQPError(404, "NOT_FOUND - no previously declared queue") }
    return channel.lastQueue
  }

  /// The queue with a name.
  func queue(_ name: String, _ channel: BrokerChannel) throws(AMQPError) -> BrokerQueue {
    try topology.queue(try self.name(name, channel), for: channel.connection.id)
  }

  private func binding(
    _ name: String, _ key: String, _ arguments: AMQPTable, _ channel: BrokerChannel
  ) throws(AMQPError) -> Binding {
    let queue = try self.name(name, channel)
    return Binding(
      .queue(queue), routingKey: name.isEmpty && key.isEmpty ? channel.lastQueue : key, arguments: arguments)
  }

  private func declare(
    _ declaration: AMQPMethod.QueueDeclaration, _ channel: BrokerChannel
  ) throws(AMQPError) -> BrokerQueue {
    if declaration.passive { return try topology.queue(declaration.queue, for: channel.connection.id) }
    if planted(.convertsTimesUnchecked) { BrokerCommands.convertTime(of: declaration.arguments) }
    let queue = try topology.declare(declaration, for: channel.connection.id) {
      "amq.gen-" + Hex.encode(environment.entropy.bytes(12))
    }
    if declaration.exclusive { channel.connection.ownedQueues.insert(ExactText(queue.name)) }
    return queue
  }
}

extension AMQPMethod {
  /// The method without CR and LF in the names of queues and exchanges. As in RabbitMQ, methods
  /// that declare, delete and bind remove them. `queue.purge` and the methods of the class `basic`
  /// do not, so they find no such name.
  fileprivate var withoutLineBreaks: AMQPMethod {
    switch self {
    case .exchangeDeclare(var declaration):
      declaration.exchange = declaration.exchange.withoutLineBreaks
      return .exchangeDeclare(declaration)
    case .exchangeDelete(let name, let ifUnused, let noWait):
      return .exchangeDelete(exchange: name.withoutLineBreaks, ifUnused: ifUnused, noWait: noWait)
    case .exchangeBind(let destination, let source, let key, let noWait, let arguments):
      return .exchangeBind(
        destination: destination.withoutLineBreaks, source: source.withoutLineBreaks, routingKey: key, noWait: noWait,
        arguments: arguments)
    case .exchangeUnbind(let destination, let source, let key, let noWait, let arguments):
      return .exchangeUnbind(
        destination: destination.withoutLineBreaks, source: source.withoutLineBreaks, routingKey: key, noWait: noWait,
        arguments: arguments)
    case .queueDeclare(var declaration):
      declaration.queue = declaration.queue.withoutLineBreaks
      return .queueDeclare(declaration)
    case .queueDelete(let name, let ifUnused, let ifEmpty, let noWait):
      return .queueDelete(queue: name.withoutLineBreaks, ifUnused: ifUnused, ifEmpty: ifEmpty, noWait: noWait)
    case .queueBind(let queue, let exchange, let key, let noWait, let arguments):
      return .queueBind(
        queue: queue.withoutLineBreaks, exchange: exchange.withoutLineBreaks, routingKey: key, noWait: noWait,
        arguments: arguments)
    case .queueUnbind(let queue, let exchange, let key, let arguments):
      return .queueUnbind(
        queue: queue.withoutLineBreaks, exchange: exchange.withoutLineBreaks, routingKey: key, arguments: arguments)
    default: return self
    }
  }
}

extension String {
  fileprivate var withoutLineBreaks: String {
    // A line break of two scalars is one character.
    func isLineBreak(_ byte: UInt8) -> Bool { byte == 0x0A || byte == 0x0D }
    guard utf8.contains(where: isLineBreak) else { return self }
    return String(decoding: utf8.filter { !isLineBreak($0) }, as: UTF8.self)
  }
}
