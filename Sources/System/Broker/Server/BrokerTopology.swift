/// The exchanges, queues and bindings, by their rules. Durable ones are journaled. Used on the broker's
/// actor.
final class BrokerTopology {
  private let journal: BrokerJournal
  private var exchanges: [String: Exchange] = [:]
  private var queues: [String: BrokerQueue] = [:]
  /// Queues since the process began.
  private(set) var queuesEver = 0

  /// Starts with the exchanges that every broker has.
  init(_ journal: BrokerJournal) {
    self.journal = journal
    for (name, kind) in [
      ("", ExchangeKind.direct), ("amq.direct", .direct), ("amq.fanout", .fanout), ("amq.topic", .topic),
    ] { exchanges[name] = Exchange(name: name, kind: kind, isDurable: true) }
  }

  /// Adds durable exchanges, queues and bindings of an earlier process.
  func restore(_ state: BrokerRecovery) {
    for exchange in state.exchanges { exchanges[exchange.name] = exchange }
    for (name, isAutoDelete, arguments) in state.queues {
      add(name, isDurable: true, isAutoDelete: isAutoDelete, owner: nil, rules: QueueRules(stored: arguments))
    }
    for (exchange, binding) in state.bindings where exchanges[exchange] != nil {
      guard let queue = queues[binding.queue], exchanges[exchange]!.bind(binding) else { continue }
      queue.exchanges.insert(exchange)
    }
  }

  /// Adds a queue, bound to the default exchange by its name.
  @discardableResult
  private func add(
    _ name: String, isDurable: Bool, isAutoDelete: Bool, owner: Int?, rules: QueueRules
  ) -> BrokerQueue {
    queuesEver += 1
    let queue = BrokerQueue(
      id: BrokerQueue.ID(name: name, number: queuesEver), isDurable: isDurable, isAutoDelete: isAutoDelete,
      owner: owner, rules: rules)
    queues[name] = queue
    _ = exchanges[""]!.bind(Binding(queue: name, routingKey: name))
    return queue
  }

  // MARK: Exchanges

  func exchange(_ name: String) -> Exchange? { exchanges[name] }

  /// - Throws: `AMQPError` 404.
  func existingExchange(_ name: String) throws(AMQPError) -> Exchange {
    guard let exchange = exchanges[name] else { throw AMQPError(404, "NOT_FOUND - no exchange '\(name)' in vhost '/'") }
    return exchange
  }

  /// Serves `exchange.declare`.
  func declare(_ declaration: AMQPMethod.ExchangeDeclaration) throws(AMQPError) {
    let name = declaration.exchange
    if let known = exchanges[name] {
      if declaration.passive { return }
      guard !name.isEmpty else { throw AMQPError(403, "ACCESS_REFUSED - the default exchange cannot be declared") }
      guard known.kind.rawValue == declaration.kind, known.isDurable == declaration.durable,
        known.isAutoDelete == declaration.autoDelete, known.isInternal == declaration.isInternal
      else { throw AMQPError(406, "PRECONDITION_FAILED - inequivalent arg for exchange '\(name)' in vhost '/'") }
      return
    }
    if declaration.passive { throw AMQPError(404, "NOT_FOUND - no exchange '\(name)' in vhost '/'") }
    guard !name.hasPrefix("amq.") else {
      throw AMQPError(403, "ACCESS_REFUSED - exchange name '\(name)' contains reserved prefix 'amq.*'")
    }
    guard let kind = ExchangeKind(rawValue: declaration.kind) else {
      throw declaration.kind == "headers"
        ? AMQPError(540, "NOT_IMPLEMENTED - exchange type 'headers'")
        : AMQPError(503, "COMMAND_INVALID - unknown exchange type '\(declaration.kind)'")
    }
    guard declaration.arguments.entries.isEmpty else {
      throw AMQPError(540, "NOT_IMPLEMENTED - exchange argument '\(declaration.arguments.entries[0].name)'")
    }
    let exchange = Exchange(
      name: name, kind: kind, isDurable: declaration.durable, isAutoDelete: declaration.autoDelete,
      isInternal: declaration.isInternal)
    exchanges[name] = exchange
    if exchange.isDurable { journal.append(.addExchange(exchange)) }
  }

  /// Serves `exchange.delete`.
  func deleteExchange(_ name: String, ifUnused: Bool) throws(AMQPError) {
    guard let exchange = exchanges[name] else { return }
    guard !name.isEmpty, !name.hasPrefix("amq.") else {
      throw AMQPError(403, "ACCESS_REFUSED - exchange '\(name)' is the broker's own")
    }
    if ifUnused, !exchange.isUnused {
      throw AMQPError(406, "PRECONDITION_FAILED - exchange '\(name)' in use")
    }
    exchanges[name] = nil
    for queue in exchange.boundQueues { queues[queue]?.exchanges.remove(name) }
    if exchange.isDurable { journal.append(.removeExchange(name)) }
  }

  // MARK: Queues

  func queue(_ name: String) -> BrokerQueue? { queues[name] }

  /// The queue with an id; nil when it was deleted, also when another queue has its name now.
  func queue(_ id: BrokerQueue.ID) -> BrokerQueue? {
    guard let queue = queues[id.name], queue.id == id else { return nil }
    return queue
  }

  /// All queues, by name.
  var allQueues: [BrokerQueue] { queues.keys.sorted().map { queues[$0]! } }

  /// A queue that a connection may use.
  /// - Throws: `AMQPError` 404, or 405 for an exclusive queue of another connection.
  func queue(_ name: String, for connection: Int) throws(AMQPError) -> BrokerQueue {
    guard let queue = queues[name] else { throw AMQPError(404, "NOT_FOUND - no queue '\(name)' in vhost '/'") }
    if let owner = queue.owner, owner != connection {
      throw AMQPError(
        405, "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '\(name)' in vhost '/'")
    }
    return queue
  }

  /// Serves `queue.declare`, unless it is passive. `newName` names a queue for which the client gives no name.
  func declare(
    _ declaration: AMQPMethod.QueueDeclaration, for connection: Int, newName: () -> String
  ) throws(AMQPError) -> BrokerQueue {
    var name = declaration.queue
    if queues[name] != nil, !name.isEmpty {
      let known = try queue(name, for: connection)
      guard known.isDurable == declaration.durable, (known.owner != nil) == declaration.exclusive,
        known.isAutoDelete == declaration.autoDelete, known.rules == (try QueueRules(declaration.arguments))
      else { throw AMQPError(406, "PRECONDITION_FAILED - inequivalent arg for queue '\(name)' in vhost '/'") }
      return known
    }
    if name.isEmpty {
      name = newName()
    } else if name.hasPrefix("amq.") {
      throw AMQPError(403, "ACCESS_REFUSED - queue name '\(name)' contains reserved prefix 'amq.*'")
    }
    let queue = add(
      name, isDurable: declaration.durable, isAutoDelete: declaration.autoDelete,
      owner: declaration.exclusive ? connection : nil, rules: try QueueRules(declaration.arguments))
    if queue.isStored {
      journal.append(.addQueue(name: name, isAutoDelete: queue.isAutoDelete, arguments: queue.rules.arguments))
    }
    return queue
  }

  /// Removes the name of a queue. `removeBindings` follows once its messages are gone.
  func removeName(of queue: BrokerQueue) { queues[queue.name] = nil }

  /// Removes the bindings of a deleted queue, and exchanges that end with their last binding.
  func removeBindings(of queue: BrokerQueue) {
    _ = exchanges[""]!.unbind(Binding(queue: queue.name, routingKey: queue.name))
    for name in queue.exchanges.elements {
      for key in exchanges[name]!.unbindAll(queue.name) where isStored(queue, name) {
        journal.append(.unbind(exchange: name, Binding(queue: queue.name, routingKey: key)))
      }
      removeIfUnused(name)
    }
  }

  // MARK: Bindings

  /// Serves `queue.bind`.
  func bind(_ queue: BrokerQueue, _ name: String, _ key: String) throws(AMQPError) {
    try checkBinding(name)
    let binding = Binding(queue: queue.name, routingKey: key)
    guard exchanges[name]!.bind(binding) else { return }
    queue.exchanges.insert(name)
    if isStored(queue, name) { journal.append(.bind(exchange: name, binding)) }
  }

  /// Serves `queue.unbind`.
  func unbind(_ queue: BrokerQueue, _ name: String, _ key: String) throws(AMQPError) {
    try checkBinding(name)
    let binding = Binding(queue: queue.name, routingKey: key)
    guard exchanges[name]!.unbind(binding) else { return }
    if !exchanges[name]!.isBound(queue.name) { queue.exchanges.remove(name) }
    if isStored(queue, name) { journal.append(.unbind(exchange: name, binding)) }
    removeIfUnused(name)
  }

  private func checkBinding(_ exchange: String) throws(AMQPError) {
    guard !exchange.isEmpty else {
      throw AMQPError(403, "ACCESS_REFUSED - operation not permitted on the default exchange")
    }
    _ = try existingExchange(exchange)
  }

  private func isStored(_ queue: BrokerQueue, _ exchange: String) -> Bool {
    exchanges[exchange]!.isDurable && queue.isStored
  }

  private func removeIfUnused(_ name: String) {
    guard let exchange = exchanges[name], exchange.isAutoDelete, exchange.isUnused else { return }
    exchanges[name] = nil
    if exchange.isDurable { journal.append(.removeExchange(name)) }
  }
}
