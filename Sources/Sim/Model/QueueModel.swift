/// The queues of one client of a broker as a sequential model: ready messages, deliveries that the
/// client has not settled, consumers and bindings.
///
/// The rules are those of section 5 of the contract, and RabbitMQ's where it is silent. Each queue
/// has at most one consumer, and so does each channel: the order between queues is open.
/// `docs/model.md` lists the arguments and the methods.
struct QueueModel: Sendable {
  enum Overflow: String, CaseIterable, Sendable {
    case dropHead = "drop-head"
    case rejectPublish = "reject-publish"
    case rejectPublishDeadLetter = "reject-publish-dlx"
  }

  /// The arguments of a queue.
  struct Rules: Hashable, Sendable {
    var maximumLength = Int.max
    var maximumBytes = Int.max
    var overflow = Overflow.dropHead
    var highestPriority = 0
    /// Returns of a message after which it becomes a dead letter.
    var deliveryLimit = Int.max
    /// The index of the queue that gets dead letters. It is higher, and has no limits itself.
    var deadLetters: Int?
  }

  struct Message: Hashable, Sendable {
    let number: Int
    /// The size of the body.
    let bytes: Int
    var priority = 0
    let isPersistent: Bool
    /// The order of arrival in its queue.
    var place = 0
    var isRedelivered = false
    var returns = 0
  }

  struct Consumer: Hashable, Sendable {
    let queue: Int
    let channel: Int
    let tag: String
    /// 0 for no limit.
    let prefetch: Int
    let noAck: Bool
  }

  /// A message that a client has and has not settled.
  struct Held: Hashable, Sendable {
    let queue: Int
    let channel: Int
    /// The consumer; nil for `basic.get`.
    let consumer: String?
    let tag: Int
    var message: Message
  }

  /// A message that was sent to a consumer.
  struct Delivery: Hashable, Sendable {
    let channel: Int
    let consumer: String
    let tag: Int
    let number: Int
    let isRedelivered: Bool
  }

  struct State: Hashable, Sendable {
    /// The ready messages of each queue, in the order of their delivery.
    var ready: [[Message]]
    /// Sorted by channel and tag.
    var held: [Held] = []
    var consumers: [Consumer] = []
    /// Whether each queue has each binding of `RoutingModel.bindings`.
    var bindings: [[Bool]]
    /// The last delivery tag of each channel.
    var tags: [Int]
    var places = 0
    /// Deliveries to consumers that the client has not been asked about.
    var sent: [Delivery] = []
  }

  /// Where a publication goes.
  enum Route: Hashable, Sendable {
    /// By the default exchange.
    case queue(Int)
    /// By an exchange of the client: the address of this index in `RoutingModel.addresses`.
    case address(Int)
    /// A queue that does not exist.
    case nowhere
    /// A direct reply to a request of the client.
    case reply(channel: Int, consumer: String)
    /// A direct reply to a request of a connection that has ended.
    case lateReply
  }

  struct Publication: Hashable, Sendable {
    let message: Message
    let route: Route
    var isMandatory = false
  }

  enum Fate: Hashable, Sendable {
    case confirmed, returned, refused
  }

  enum Settlement: Hashable, Sendable {
    case acknowledge, requeue, drop
  }

  struct Settling: Hashable, Sendable {
    let channel: Int
    let tag: Int
    var isMultiple = false
    let kind: Settlement
  }

  enum Got: Hashable, Sendable {
    case empty
    /// `left`: the ready messages behind it.
    case message(Int, tag: Int, isRedelivered: Bool, left: Int)
  }

  /// What a client does, with what it was told; nil if no answer came.
  enum Input: Hashable, Sendable {
    case publish(Publication, Fate?)
    case get(Int, channel: Int, noAck: Bool, Got?)
    case settle(Settling)
    case recover(channel: Int)
    case consume(Consumer)
    case cancel(String)
    case purge(Int, count: Int?)
    case transaction([Publication], [Settling], isCommitted: Bool)
    /// The ready messages and the consumers of a queue.
    case count(Int, ready: Int?, consumers: Int?)
    /// A binding of `RoutingModel.bindings`.
    case bind(Int, binding: Int, isBound: Bool)
    /// An exchange is deleted with its bindings, and declared again.
    case deleteExchange(RoutingModel.Kind)
    case closeChannel(Int)
  }

  /// The arguments of each queue.
  let rules: [Rules]

  /// Empty queues without bindings. Channels are numbered from 0.
  func initial(channels: Int) -> State {
    State(
      ready: rules.map { _ in [] }, bindings: RoutingModel.bindings.map { _ in rules.map { _ in false } },
      tags: Array(repeating: 0, count: channels))
  }

  // MARK: Steps

  /// The state after an input; nil if its answer contradicts the state.
  func step(_ state: State, _ input: Input) -> State? {
    var next = state
    switch input {
    case .publish(let publication, let fate):
      let fact = publish(publication, &next)
      if let fate, fate != fact { return nil }
    case .get(let queue, let channel, let noAck, let got):
      let fact = get(queue, channel, noAck, &next)
      if let got, got != fact { return nil }
    case .settle(let settling):
      guard settle([settling], &next) else { return nil }
    case .recover(let channel): settle(next.held.filter { $0.channel == channel }, .requeue, &next)
    case .consume(let consumer):
      next.consumers.append(consumer)
      serve(consumer.queue, &next)
    case .cancel(let tag): next.consumers.removeAll { $0.tag == tag }
    case .purge(let queue, let count):
      if let count, count != next.ready[queue].count { return nil }
      next.ready[queue] = []
    case .transaction(let publications, let settlings, let isCommitted):
      guard isCommitted else { return next }
      for publication in publications { _ = publish(publication, &next) }
      // Settlements of one kind in a row are one.
      var settlings = settlings[...]
      while let kind = settlings.first?.kind {
        let alike = settlings.prefix { $0.kind == kind }
        guard settle(Array(alike), &next) else { return nil }
        settlings = settlings.dropFirst(alike.count)
      }
    case .count(let queue, let ready, let consumers):
      if let ready, ready != next.ready[queue].count { return nil }
      if let consumers, consumers != next.consumers.filter({ $0.queue == queue }).count { return nil }
    case .bind(let queue, let binding, let isBound): next.bindings[binding][queue] = isBound
    case .deleteExchange(let kind):
      for (index, binding) in RoutingModel.bindings.enumerated() where binding.exchange == kind {
        next.bindings[index] = rules.map { _ in false }
      }
    case .closeChannel(let channel): close(channel, &next)
    }
    return next
  }

  /// The state after the end of the connection: all channels are closed. A connection that has
  /// ended gets no more messages.
  func ended(_ state: State) -> State {
    var next = state
    next.consumers = []
    for channel in next.tags.indices { close(channel, &next) }
    next.sent = []
    next.places = lastPlace(next)
    return next
  }

  /// The state after a restart of the broker: what is not persistent is gone, and everything else
  /// may have been delivered before.
  func restarted(_ state: State) -> State {
    var next = state
    for held in state.held { restore(held.message, to: held.queue, &next) }
    next.held = []
    next.consumers = []
    next.sent = []
    next.tags = next.tags.map { _ in 0 }
    for queue in next.ready.indices {
      next.ready[queue] = next.ready[queue].filter(\.isPersistent).map {
        var message = $0
        message.isRedelivered = true
        message.returns = 0
        return message
      }
    }
    // Messages that were delivered are back, so a queue may hold too many.
    for queue in next.ready.indices { serve(queue, &next) }
    next.places = lastPlace(next)
    return next
  }

  /// The last place that matters. Without this, states that are alike would differ.
  private func lastPlace(_ state: State) -> Int { state.ready.joined().map(\.place).max() ?? 0 }

  // MARK: Publications

  private func targets(_ route: Route, _ state: State) -> [Int] {
    switch route {
    case .queue(let queue): [queue]
    case .address(let index):
      rules.indices.filter { queue in
        RoutingModel.bindings.enumerated().contains { binding in
          state.bindings[binding.offset][queue]
            && RoutingModel.fits(binding.element, RoutingModel.addresses[index])
        }
      }
    case .nowhere, .reply, .lateReply: []
    }
  }

  private func publish(_ publication: Publication, _ state: inout State) -> Fate {
    if case .reply(let channel, let consumer) = publication.route {
      state.sent.append(
        Delivery(
          channel: channel, consumer: consumer, tag: state.tags[channel] + 1, number: publication.message.number,
          isRedelivered: false))
      return .confirmed
    }
    let targets = targets(publication.route, state)
    if targets.isEmpty { return publication.isMandatory ? .returned : .confirmed }
    let admissions = targets.map { enqueue(publication.message, in: $0, &state) }
    return admissions.contains(false) ? .refused : .confirmed
  }

  /// Adds a message to a queue. Returns false if the queue is full and refuses it.
  private func enqueue(_ message: Message, in queue: Int, _ state: inout State) -> Bool {
    let rules = rules[queue]
    if rules.overflow != .dropHead {
      let bytes = state.ready[queue].reduce(message.bytes) { $0 + $1.bytes }
      if state.ready[queue].count >= rules.maximumLength || bytes > rules.maximumBytes {
        if rules.overflow == .rejectPublishDeadLetter { bury(message, from: queue, &state) }
        return false
      }
    }
    var entry = message
    state.places += 1
    (entry.place, entry.isRedelivered, entry.returns) = (state.places, false, 0)
    restore(entry, to: queue, &state)
    serve(queue, &state)
    return true
  }

  /// Passes on a message that has died in a queue.
  func bury(_ message: Message, from queue: Int, _ state: inout State) {
    if let target = rules[queue].deadLetters { _ = enqueue(message, in: target, &state) }
  }

  // MARK: Queues

  /// Puts a message in its place: by priority, then by arrival.
  func restore(_ message: Message, to queue: Int, _ state: inout State) {
    func rank(_ message: Message) -> (Int, Int) {
      (-min(message.priority, rules[queue].highestPriority), message.place)
    }
    let place = state.ready[queue].firstIndex { rank($0) > rank(message) } ?? state.ready[queue].count
    state.ready[queue].insert(message, at: place)
  }

  private func isOver(_ queue: Int, _ state: State) -> Bool {
    let rules = rules[queue]
    guard rules.overflow == .dropHead else { return false }
    return state.ready[queue].count > rules.maximumLength
      || rules.maximumBytes < .max && state.ready[queue].reduce(0) { $0 + $1.bytes } > rules.maximumBytes
  }

  /// Delivers messages to the consumer of a queue, and drops those that the queue may not keep.
  /// Where messages have returned, these are dropped before any is delivered.
  func serve(_ queue: Int, _ state: inout State, afterReturn: Bool = false) {
    while !state.ready[queue].isEmpty {
      let isOver = isOver(queue, state)
      if !(isOver && afterReturn), let consumer = consumer(of: queue, state) {
        deliver(state.ready[queue].removeFirst(), to: consumer, &state)
      } else if isOver {
        bury(state.ready[queue].removeFirst(), from: queue, &state)
      } else {
        return
      }
    }
  }

  /// The consumer of a queue, if it has room.
  private func consumer(of queue: Int, _ state: State) -> Consumer? {
    state.consumers.first { consumer in
      consumer.queue == queue
        && (consumer.noAck || consumer.prefetch == 0
          || state.held.count { $0.consumer == consumer.tag } < consumer.prefetch)
    }
  }

  private func deliver(_ message: Message, to consumer: Consumer, _ state: inout State) {
    state.tags[consumer.channel] += 1
    let tag = state.tags[consumer.channel]
    state.sent.append(
      Delivery(
        channel: consumer.channel, consumer: consumer.tag, tag: tag, number: message.number,
        isRedelivered: message.isRedelivered))
    guard !consumer.noAck else { return }
    hold(
      Held(queue: consumer.queue, channel: consumer.channel, consumer: consumer.tag, tag: tag, message: message), &state
    )
  }

  private func hold(_ held: Held, _ state: inout State) {
    let place = state.held.firstIndex { ($0.channel, $0.tag) > (held.channel, held.tag) } ?? state.held.count
    state.held.insert(held, at: place)
  }

  private func get(_ queue: Int, _ channel: Int, _ noAck: Bool, _ state: inout State) -> Got {
    serve(queue, &state)
    guard !state.ready[queue].isEmpty else { return .empty }
    let message = state.ready[queue].removeFirst()
    state.tags[channel] += 1
    let tag = state.tags[channel]
    if !noAck { hold(Held(queue: queue, channel: channel, consumer: nil, tag: tag, message: message), &state) }
    return .message(
      message.number, tag: tag, isRedelivered: message.isRedelivered, left: state.ready[queue].count)
  }
}
