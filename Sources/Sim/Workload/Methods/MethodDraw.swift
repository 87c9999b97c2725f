import Simulation
import System

/// The steps of a client of the broker.
extension MethodWorker {
  /// Steps that are drawn as often as their weight says.
  private enum Kind: CaseIterable {
    case publish, get, settle, transaction, consume, cancel, recover, purge, bind, closeChannel, reply, deleteExchange

    var weight: Int {
      switch self {
      case .publish: 10
      case .get, .settle: 6
      case .transaction, .bind: 4
      case .consume, .reply: 3
      case .cancel, .recover, .closeChannel: 2
      case .purge, .deleteExchange: 1
      }
    }
  }

  private static let kinds = Kind.allCases.flatMap { Array(repeating: $0, count: $0.weight) }
  private static let setting = [plain, transactional]

  private var stream: ChoiceStream { state.stream }
  private var anyQueue: Int { stream.choose(queues.names.count) }

  /// The next steps.
  func drawn() -> [MethodStep] {
    switch stream.pick(Self.kinds) {
    case .publish: (0...stream.choose(state.behavior.batch)).map { _ in publish(drawnPublication()) }
    case .get:
      // Who gets a message is open where a consumer waits for it, too.
      stream.pickAny(of: freeQueues).map { queue in
        let (channel, noAck) = (stream.pick(Self.setting), stream.chance(0.2))
        return (0...stream.choose(3)).map { _ in get(queue, channel: channel, noAck: noAck) }
      } ?? []
    case .settle:
      stream.pickAny(of: held.filter { $0.channel != Self.transactional }).map { delivery in
        [settle(delivery, stream.pick([.acknowledge, .acknowledge, .requeue, .drop]), isMultiple: stream.chance(0.3))]
      } ?? []
    case .transaction: [transaction()]
    case .consume:
      stream.pickAny(of: freeChannels).flatMap { channel in
        stream.pickAny(of: freeQueues).map { [consume($0, channel)] }
      } ?? []
    case .cancel: stream.pickAny(of: consumers).map { [cancel($0)] } ?? []
    case .recover: [recover(stream.pick(Self.setting))]
    case .purge: [purge(anyQueue)]
    case .bind:
      // Several at once, so that bindings meet in one exchange.
      (0...stream.choose(4)).map { _ in
        bind(
          stream.pick(queues.names.indices.filter(MethodQueues.isLimited)),
          drawn(RoutingModel.bindings, of: \.exchange), isBound: stream.chance(0.7))
      }
    case .deleteExchange: [deleteExchange(stream.pick(RoutingModel.Kind.allCases))]
    case .closeChannel: [closeChannel(stream.pick(Self.setting))]
    case .reply: requests.popLast().map { [reply($0)] } ?? []
    }
  }

  /// The index of an element about an exchange. Each type of exchange is drawn as often.
  private func drawn<Element>(_ table: [Element], of exchange: (Element) -> RoutingModel.Kind) -> Int {
    let kind = stream.pick(RoutingModel.Kind.allCases)
    return stream.pick(table.indices.filter { exchange(table[$0]) == kind })
  }

  private var freeQueues: [Int] {
    queues.names.indices.filter { index in !consumers.contains { $0.queue == index } }
  }

  private var freeChannels: [Int] {
    [Self.confirming, Self.plain, Self.transactional].filter { channel in
      !consumers.contains { $0.channel == channel }
    }
  }

  // MARK: Publications

  private func drawnPublication() -> QueueModel.Publication {
    let message = QueueModel.Message(
      number: number(), bytes: 8 + stream.choose(40), priority: stream.choose(4), isPersistent: stream.chance(0.7))
    let route: QueueModel.Route =
      switch stream.choose(10) {
      case 0: .nowhere
      case 1, 2, 3, 4: .address(drawn(RoutingModel.addresses, of: \.exchange))
      default: .queue(anyQueue)
      }
    return QueueModel.Publication(message: message, route: route, isMandatory: stream.chance(0.3))
  }

  private func frames(
    _ publication: QueueModel.Publication, channel: Int, address: String = "", isRequest: Bool = false
  ) -> [UInt8] {
    let message = publication.message
    var body = Array("\(message.number)".utf8)
    body += [UInt8](repeating: UInt8(ascii: "."), count: max(0, message.bytes - body.count))
    var properties = BrokerProperties(isPersistent: message.isPersistent)
    // Without a priority a message has the lowest one.
    if message.priority > 0 { properties.priority = UInt8(message.priority) }
    if case .address(let index) = publication.route {
      properties.headers = Self.table(RoutingModel.addresses[index].headers)
    }
    if isRequest { properties.replyTo = "amq.rabbitmq.reply-to" }
    let (exchange, key) =
      switch publication.route {
      case .queue(let queue): ("", queues.names[queue])
      case .address(let index): (exchange(RoutingModel.addresses[index].exchange), RoutingModel.addresses[index].key)
      case .nowhere: ("", "METHODS_\(name)_NOWHERE")
      case .reply, .lateReply: ("", address)
      }
    return BrokerWriter.publication(
      channel + 1, exchange, key, isMandatory: publication.isMandatory, properties, body)
  }

  private func publish(
    _ publication: QueueModel.Publication, address: String = ""
  ) -> MethodStep {
    published += 1
    var isRequest = false
    if case .queue = publication.route { isRequest = stream.chance(0.1) }
    if isRequest { asked.insert(publication.message.number) }
    return MethodStep(
      .publish(publication, nil), frames(publication, channel: Self.confirming, address: address, isRequest: isRequest),
      .confirm(published))
  }

  /// A direct reply. It arrives only if the connection that asked is still there.
  private func reply(_ request: (number: Int, address: String)) -> MethodStep {
    let message = QueueModel.Message(number: number(), bytes: 10, isPersistent: false)
    let route: QueueModel.Route =
      asked.contains(request.number) ? .reply(channel: Self.confirming, consumer: Self.replies) : .lateReply
    return publish(QueueModel.Publication(message: message, route: route), address: request.address)
  }

  /// Publications and settlements that are committed together, or not at all.
  private func transaction() -> MethodStep {
    let publications = (0..<stream.choose(4)).compactMap { _ -> QueueModel.Publication? in
      var publication = drawnPublication()
      publication.isMandatory = false
      // A full queue that refuses a message ends the channel.
      guard case .queue(let queue) = publication.route, queues.rules[queue].overflow == .dropHead else { return nil }
      return publication
    }
    var rest = held.filter { $0.channel == Self.transactional }
    var settlings: [QueueModel.Settling] = []
    for _ in 0..<stream.choose(3) {
      guard let delivery = stream.pickAny(of: rest) else { break }
      rest.removeAll { $0.tag == delivery.tag }
      let kind: QueueModel.Settlement = stream.pick([.acknowledge, .acknowledge, .requeue, .drop])
      settlings.append(QueueModel.Settling(channel: delivery.channel, tag: delivery.tag, kind: kind))
    }
    let isCommitted = stream.chance(0.7)
    let channel = Self.transactional
    let bytes =
      publications.flatMap { frames($0, channel: channel) } + settlings.flatMap(frames)
      + BrokerWriter.method(channel + 1, isCommitted ? "tx.commit" : "tx.rollback")
    return MethodStep(
      .transaction(publications, settlings, isCommitted: isCommitted), bytes, .methods(channel, count: 1))
  }

  // MARK: Deliveries

  func get(_ queue: Int, channel: Int, noAck: Bool) -> MethodStep {
    MethodStep(
      .get(queue, channel: channel, noAck: noAck, nil),
      BrokerWriter.method(
        channel + 1, "basic.get", ["queue": .text(queues.names[queue]), "no-ack": .bit(noAck)]),
      .methods(channel, count: 1))
  }

  private func frames(_ settling: QueueModel.Settling) -> [UInt8] {
    var values: [String: BrokerValue] = [
      "delivery-tag": .number(UInt64(settling.tag)), "multiple": .bit(settling.isMultiple),
      "requeue": .bit(settling.kind == .requeue),
    ]
    if settling.kind == .acknowledge { values["requeue"] = nil }
    let method =
      settling.kind == .acknowledge
      ? "basic.ack" : settling.isMultiple || settling.tag % 2 == 0 ? "basic.nack" : "basic.reject"
    return BrokerWriter.method(settling.channel + 1, method, values)
  }

  func settle(
    _ delivery: (channel: Int, tag: Int), _ kind: QueueModel.Settlement, isMultiple: Bool = false
  ) -> MethodStep {
    let settling = QueueModel.Settling(
      channel: delivery.channel, tag: delivery.tag, isMultiple: isMultiple, kind: kind)
    guard delivery.channel == Self.transactional else { return MethodStep(.settle(settling), frames(settling)) }
    return MethodStep(
      .transaction([], [settling], isCommitted: true),
      frames(settling) + BrokerWriter.method(delivery.channel + 1, "tx.commit"), .methods(delivery.channel, count: 1))
  }

  private func recover(_ channel: Int) -> MethodStep {
    MethodStep(
      .recover(channel: channel), BrokerWriter.method(channel + 1, "basic.recover", ["requeue": .bit(true)]),
      .methods(channel, count: 1))
  }

  private func consume(_ queue: Int, _ channel: Int) -> MethodStep {
    let noAck = stream.chance(0.15)
    let tag = "c\(number())\(noAck ? MethodExchange.unheld : "")"
    let consumer = QueueModel.Consumer(
      queue: queue, channel: channel, tag: tag, prefetch: stream.pick([0, 1, 2, 5]), noAck: noAck)
    return MethodStep(
      .consume(consumer),
      BrokerWriter.method(
        channel + 1, "basic.qos", ["prefetch-count": .number(UInt64(consumer.prefetch))])
        + BrokerWriter.method(
          channel + 1, "basic.consume",
          ["queue": .text(queues.names[queue]), "consumer-tag": .text(tag), "no-ack": .bit(noAck)]),
      .methods(channel, count: 2))
  }

  func cancel(_ consumer: QueueModel.Consumer) -> MethodStep {
    MethodStep(
      .cancel(consumer.tag),
      BrokerWriter.method(consumer.channel + 1, "basic.cancel", ["consumer-tag": .text(consumer.tag)]),
      .methods(consumer.channel, count: 1))
  }

  private func closeChannel(_ channel: Int) -> MethodStep {
    let isTransactional = channel == Self.transactional
    return MethodStep(
      .closeChannel(channel),
      BrokerWriter.method(channel + 1, "channel.close", ["reply-code": .number(200)])
        + BrokerWriter.method(channel + 1, "channel.open")
        + (isTransactional ? BrokerWriter.method(channel + 1, "tx.select") : []),
      .methods(channel, count: isTransactional ? 3 : 2))
  }

  // MARK: Queues

  private func purge(_ queue: Int) -> MethodStep {
    MethodStep(
      .purge(queue, count: nil),
      BrokerWriter.method(Self.declaring + 1, "queue.purge", ["queue": .text(queues.names[queue])]),
      .methods(Self.declaring, count: 1))
  }

  private func bind(_ queue: Int, _ index: Int, isBound: Bool) -> MethodStep {
    let binding = RoutingModel.bindings[index]
    var arguments = Self.table(binding.headers)
    if let match = binding.match { arguments += AttackGrammar.short("x-match") + AttackGrammar.value(match.rawValue) }
    return MethodStep(
      .bind(queue, binding: index, isBound: isBound),
      BrokerWriter.method(
        Self.declaring + 1, isBound ? "queue.bind" : "queue.unbind",
        [
          "queue": .text(queues.names[queue]), "exchange": .text(exchange(binding.exchange)),
          "routing-key": .text(binding.key), "arguments": .table(arguments),
        ]),
      .methods(Self.declaring, count: 1))
  }

  private func deleteExchange(_ kind: RoutingModel.Kind) -> MethodStep {
    MethodStep(
      .deleteExchange(kind),
      BrokerWriter.method(Self.declaring + 1, "exchange.delete", ["exchange": .text(exchange(kind))])
        + declaration(kind), .methods(Self.declaring, count: 2))
  }

  /// The contents of a table of headers. A header without a value has the void value.
  private static func table(_ headers: [RoutingModel.Header]) -> [UInt8] {
    headers.flatMap { header in
      AttackGrammar.short(header.name) + (header.value.map { AttackGrammar.value($0) } ?? [UInt8(ascii: "V")])
    }
  }

  /// Asks how many messages and consumers a queue has.
  func count(_ queue: Int) -> MethodStep {
    MethodStep(
      .count(queue, ready: nil, consumers: nil),
      BrokerWriter.method(
        Self.declaring + 1, "queue.declare",
        ["queue": .text(queues.names[queue]), "passive": .bit(true), "durable": .bit(true)]),
      .methods(Self.declaring, count: 1))
  }
}
