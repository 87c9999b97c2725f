/// The exchanges, queues and bindings, by their rules. Durable ones are journaled. Used on the
/// broker's actor.
final class BrokerTopology {
  private let journal: BrokerJournal
  private var exchanges = NameTable<Exchange>()
  private var queues = NameTable<BrokerQueue>()
  /// Queues since the process began.
  private(set) var queuesEver = 0

  /// Starts with the exchanges that every broker has.
  init(_ journal: BrokerJournal) {
    self.journal = journal
    for (name, kind) in [
      ("", ExchangeKind.direct), ("amq.direct", .direct), ("amq.fanout", .fanout), ("amq.topic", .topic),
      ("amq.headers", .headers), ("amq.match", .headers),
    ] { exchanges[name] = Exchange(name: name, kind: kind, isDurable: true) }
  }

  /// Adds durable exchanges, queues and bindings of an earlier process.
  func restore(_ state: BrokerRecovery) {
    for properties in state.exchanges where exchanges[properties.name] == nil {
      exchanges[properties.name] = Exchange(properties)
    }
    for (name, isAutoDelete, arguments) in state.queues {
      add(name, isDurable: true, isAutoDelete: isAutoDelete, owner: nil, rules: QueueRules(stored: arguments))
    }
    for (source, binding) in state.bindings where !source.isEmpty {
      guard let exchange = exchanges[source], exists(binding.destination), exchange.bind(binding) else { continue }
      noteSource(source, of: binding.destination)
    }
  }

  @discardableResult
  private func add(
    _ name: String, isDurable: Bool, isAutoDelete: Bool, owner: Int?, rules: QueueRules
  ) -> BrokerQueue {
    queuesEver += 1
    let queue = BrokerQueue(
      id: BrokerQueue.ID(name: name, number: queuesEver), isDurable: isDurable, isAutoDelete: isAutoDelete,
      owner: owner, rules: rules)
    queues[name] = queue
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
    if declaration.passive {
      try checkIsNotDefault(name)
      _ = try existingExchange(name)
      return
    }
    guard let kind = ExchangeKind(rawValue: declaration.kind) else {
      throw AMQPError(503, "COMMAND_INVALID - unknown exchange type '\(declaration.kind)'")
    }
    try checkIsNotDefault(name)
    let wanted = ExchangeProperties(
      name: name, kind: kind, isDurable: declaration.durable, isAutoDelete: declaration.autoDelete,
      isInternal: declaration.isInternal, alternate: try Self.alternate(declaration))
    if let known = exchanges[name] { return try Self.checkEquivalence(known.properties, wanted) }
    guard !Self.isReserved(name) else {
      throw AMQPError(403, "ACCESS_REFUSED - exchange name '\(name)' contains reserved prefix 'amq.*'")
    }
    exchanges[name] = Exchange(wanted)
    if wanted.isDurable { journal.append(.addExchange(wanted)) }
  }

  private static func alternate(_ declaration: AMQPMethod.ExchangeDeclaration) throws(AMQPError) -> String? {
    guard let value = declaration.arguments["alternate-exchange"] else { return nil }
    guard value.isString, let name = value.text, name.utf8.count <= AMQPWriter.maximumShortString else {
      throw AMQPError(
        406,
        "PRECONDITION_FAILED - invalid type '\(value.typeName)' for arg 'alternate-exchange' in exchange '\(declaration.exchange)' in vhost '/'"
      )
    }
    return name
  }

  private static func checkEquivalence(_ known: ExchangeProperties, _ wanted: ExchangeProperties) throws(AMQPError) {
    let texts = [known, wanted].map { properties in
      [
        ("type", properties.kind.rawValue), ("durable", "\(properties.isDurable)"),
        ("auto_delete", "\(properties.isAutoDelete)"), ("internal", "\(properties.isInternal)"),
        ("alternate-exchange", properties.alternate ?? "none"),
      ]
    }
    for (current, received) in zip(texts[0], texts[1]) where !current.1.hasSameBytes(as: received.1) {
      throw inequivalent(current.0, "exchange '\(known.name)'", received: received.1, current: current.1)
    }
  }

  private static func inequivalent(
    _ argument: String, _ resource: String, received: String, current: String
  ) -> AMQPError {
    AMQPError(
      406,
      "PRECONDITION_FAILED - inequivalent arg '\(argument)' for \(resource) in vhost '/': received '\(received)' but current is '\(current)'"
    )
  }

  /// Serves `exchange.delete`.
  func deleteExchange(_ name: String, ifUnused: Bool) throws(AMQPError) {
    try checkIsNotDefault(name)
    guard !Self.isReserved(name) else {
      throw AMQPError(403, "ACCESS_REFUSED - deletion of system exchange '\(name)' in vhost '/' not allowed")
    }
    guard let exchange = exchanges[name] else { return }
    if ifUnused, !exchange.isUnused {
      throw AMQPError(406, "PRECONDITION_FAILED - exchange '\(name)' in vhost '/' in use")
    }
    remove([exchange])
  }

  /// Removes exchanges, and those that end with their last binding to one of them.
  private func remove(_ first: [Exchange]) {
    var due = first
    while let exchange = due.popLast() {
      guard exchanges[exchange.name] === exchange else { continue }
      exchanges[exchange.name] = nil
      for destination in exchange.allDestinations { forgetSource(exchange.name, of: destination) }
      // The journal removes all bindings of a durable exchange, in both directions.
      if exchange.isDurable { journal.append(.removeExchange(exchange.name)) }
      for name in exchange.sources.elements {
        guard let source = exchanges[name.text] else { continue }
        _ = source.unbindAll(.exchange(exchange.name))
        if source.properties.isAutoDelete, source.isUnused { due.append(source) }
      }
    }
  }

  /// Whether the names that begin like it are the broker's own.
  private static func isReserved(_ name: String) -> Bool { name.utf8.starts(with: "amq.".utf8) }

  private func checkIsNotDefault(_ exchange: String) throws(AMQPError) {
    guard !exchange.isEmpty else {
      throw AMQPError(403, "ACCESS_REFUSED - operation not permitted on the default exchange")
    }
  }

  // MARK: Queues

  func queue(_ name: String) -> BrokerQueue? { queues[name] }

  /// The queue with an id; nil when it was deleted, also when another queue has its name now.
  func queue(_ id: BrokerQueue.ID) -> BrokerQueue? {
    guard let queue = queues[id.name], queue.id == id else { return nil }
    return queue
  }

  /// All queues, by name.
  var allQueues: [BrokerQueue] { queues.sorted }

  /// A queue that a connection may use.
  /// - Throws: `AMQPError` 404, or 405 for an exclusive queue of another connection.
  func queue(_ name: String, for connection: Int) throws(AMQPError) -> BrokerQueue {
    guard let queue = queues[name] else { throw Self.noQueue(name) }
    try Self.checkAccess(queue, connection)
    return queue
  }

  static func noQueue(_ name: String) -> AMQPError { AMQPError(404, "NOT_FOUND - no queue '\(name)' in vhost '/'") }

  private static func checkAccess(_ queue: BrokerQueue, _ connection: Int) throws(AMQPError) {
    guard let owner = queue.owner, owner != connection else { return }
    throw AMQPError(
      405,
      "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '\(queue.name)' in vhost '/'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration."
    )
  }

  /// Serves `queue.declare`, unless it is passive. `newName` names a queue for which the client
  /// gives no name.
  func declare(
    _ declaration: AMQPMethod.QueueDeclaration, for connection: Int, newName: () -> String
  ) throws(AMQPError) -> BrokerQueue {
    var name = declaration.queue
    // RabbitMQ takes an exclusive queue for one that is not durable.
    let isDurable = declaration.durable && !declaration.exclusive
    guard !Self.isReserved(name) else {
      throw AMQPError(403, "ACCESS_REFUSED - queue name '\(name)' contains reserved prefix 'amq.*'")
    }
    if let known = queues[name] {
      try Self.checkAccess(known, connection)
      try Self.checkEquivalence(known, declaration, isDurable: isDurable)
      return known
    }
    let rules = try QueueRules(declaration.arguments, queue: name)
    if rules.type == .quorum { try Self.checkQuorum(declaration) }
    if name.isEmpty { name = newName() }
    let queue = add(
      name, isDurable: isDurable, isAutoDelete: declaration.autoDelete,
      owner: declaration.exclusive ? connection : nil, rules: rules)
    if queue.isStored {
      journal.append(.addQueue(name: name, isAutoDelete: queue.isAutoDelete, arguments: queue.rules.arguments))
    }
    return queue
  }

  private static func checkEquivalence(
    _ known: BrokerQueue, _ wanted: AMQPMethod.QueueDeclaration, isDurable: Bool
  ) throws(AMQPError) {
    let resource = "queue '\(known.name)'"
    guard (known.owner != nil) == wanted.exclusive else {
      throw AMQPError(
        405, "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '\(known.name)' in vhost '/'")
    }
    for (name, current, received) in [
      ("durable", known.isDurable, isDurable), ("auto_delete", known.isAutoDelete, wanted.autoDelete),
    ] where current != received {
      throw inequivalent(name, resource, received: "\(received)", current: "\(current)")
    }
    if wanted.arguments["x-queue-type"]?.text == "stream" {
      throw inequivalent("x-queue-type", resource, received: "stream", current: known.rules.type.rawValue)
    }
    let rules = try QueueRules(wanted.arguments, queue: known.name)
    if let name = rules.difference(from: known.rules) {
      func text(_ rules: QueueRules) -> String {
        guard let value = rules.arguments[name] else { return "none" }
        return value.text ?? value.int.map { "\($0)" } ?? value.typeName
      }
      throw inequivalent(name, resource, received: text(rules), current: text(known.rules))
    }
  }

  private static func checkQuorum(_ declaration: AMQPMethod.QueueDeclaration) throws(AMQPError) {
    if declaration.queue.isEmpty {
      throw AMQPError(406, "PRECONDITION_FAILED - Cannot declare a server-named queue for type rabbit_quorum_queue")
    }
    for (isWrong, name) in [
      (declaration.autoDelete, "auto-delete"), (declaration.exclusive, "exclusive-queue"),
      (!declaration.durable, "non-durable"),
    ] where isWrong {
      throw AMQPError(
        406, "PRECONDITION_FAILED - invalid property '\(name)' for queue '\(declaration.queue)' in vhost '/'")
    }
  }

  /// Removes the name of a queue. `removeBindings` follows once its messages are gone.
  func removeName(of queue: BrokerQueue) { queues[queue.name] = nil }

  /// Removes the bindings of a deleted queue, and exchanges that end with their last binding.
  func removeBindings(of queue: BrokerQueue) {
    var unused: [Exchange] = []
    for name in queue.exchanges.elements.map(\.text) {
      guard let exchange = exchanges[name] else { continue }
      for binding in exchange.unbindAll(.queue(queue.name)) where exchange.isDurable && queue.isStored {
        journal.append(.unbind(exchange: name, binding))
      }
      if exchange.properties.isAutoDelete, exchange.isUnused { unused.append(exchange) }
    }
    remove(unused)
  }

  // MARK: Bindings

  /// Serves `queue.bind` and `exchange.bind`.
  func bind(_ binding: Binding, to source: String, for connection: Int) throws(AMQPError) {
    try checkEnds(binding, source)
    let exchange = try existingExchange(source)
    switch binding.destination {
    case .queue(let name): _ = try queue(name, for: connection)
    case .exchange(let name): _ = try existingExchange(name)
    }
    if exchange.kind == .headers, let fault = HeaderIndex.fault(of: binding.arguments) { throw fault }
    guard exchange.bind(binding) else { return }
    noteSource(source, of: binding.destination)
    if isStored(exchange, binding.destination) { journal.append(.bind(exchange: source, binding)) }
  }

  /// Serves `queue.unbind` and `exchange.unbind`. A binding that does not exist is no error, nor is
  /// a missing end, also where the queue is exclusive to another connection.
  func unbind(_ binding: Binding, from source: String, for connection: Int) throws(AMQPError) {
    try checkEnds(binding, source)
    guard let exchange = exchanges[source], exists(binding.destination), exchange.has(binding) else { return }
    if case .queue(let name) = binding.destination { _ = try queue(name, for: connection) }
    _ = exchange.unbind(binding)
    if !exchange.isBound(binding.destination) { forgetSource(source, of: binding.destination) }
    if isStored(exchange, binding.destination) { journal.append(.unbind(exchange: source, binding)) }
    if exchange.properties.isAutoDelete, exchange.isUnused { remove([exchange]) }
  }

  private func checkEnds(_ binding: Binding, _ source: String) throws(AMQPError) {
    if case .exchange(let name) = binding.destination { try checkIsNotDefault(name) }
    try checkIsNotDefault(source)
  }

  private func exists(_ destination: Destination) -> Bool {
    switch destination {
    case .queue(let name): queues[name] != nil
    case .exchange(let name): !name.isEmpty && exchanges[name] != nil
    }
  }

  private func noteSource(_ source: String, of destination: Destination) {
    switch destination {
    case .queue(let name): queues[name]?.exchanges.insert(ExactText(source))
    case .exchange(let name): exchanges[name]?.sources.insert(ExactText(source))
    }
  }

  private func forgetSource(_ source: String, of destination: Destination) {
    switch destination {
    case .queue(let name): queues[name]?.exchanges.remove(ExactText(source))
    case .exchange(let name): exchanges[name]?.sources.remove(ExactText(source))
    }
  }

  private func isStored(_ exchange: Exchange, _ destination: Destination) -> Bool {
    guard exchange.isDurable else { return false }
    switch destination {
    case .queue(let name): return queues[name]?.isStored ?? false
    case .exchange(let name): return exchanges[name]?.isDurable ?? false
    }
  }

  // MARK: Routing

  /// The queues that get a message, each once. It follows each exchange once, however they are
  /// bound to each other.
  func route(_ routing: Routing, from first: Exchange) -> [BrokerQueue] {
    if first.name.isEmpty {
      if routing.moreKeys.isEmpty { return queues[routing.key].map { [$0] } ?? [] }
    } else if first.leadsToQueuesAlone {
      return first.destinations(for: routing).compactMap { queues[$0.name] }
    }
    var found: [BrokerQueue] = []
    var names: Set<ExactText> = []
    var seen: Set<ExactText> = [ExactText(first.name)]
    var due = [first]
    while let exchange = due.popLast() {
      var destinations =
        exchange.name.isEmpty ? routing.allKeys.map(Destination.queue) : exchange.destinations(for: routing)
      // As in RabbitMQ, nothing is bound to the default exchange. It leads nowhere as an alternate
      // exchange.
      if destinations.isEmpty, let alternate = exchange.properties.alternate, !alternate.isEmpty {
        destinations = [.exchange(alternate)]
      }
      for destination in destinations {
        switch destination {
        case .queue(let name):
          if let queue = queues[name], names.insert(ExactText(name)).inserted { found.append(queue) }
        case .exchange(let name):
          if seen.insert(ExactText(name)).inserted, let next = exchanges[name] { due.append(next) }
        }
      }
    }
    return found
  }
}
