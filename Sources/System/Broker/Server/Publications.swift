import Environment

/// Serves `basic.publish`: routes messages, adds them to queues, and confirms them. Used on the
/// broker's actor.
struct Publications {
  let journal: BrokerJournal
  let topology: BrokerTopology
  let dispatcher: QueueDispatcher
  let replies: DirectReplies
  /// The largest body, in bytes.
  let maximumMessage: Int
  let planted: PlantedBugs

  func publish(_ command: AMQPCommand, _ channel: BrokerChannel) throws(AMQPError) {
    guard case .basicPublish(let name, let key, let mandatory, let immediate) = command.method else { return }
    guard !immediate else { throw AMQPError(540, "NOT_IMPLEMENTED - immediate=true") }
    guard command.omittedBytes == 0 else {
      throw AMQPError(
        406,
        "PRECONDITION_FAILED - message size \(command.omittedBytes) is larger than configured max size \(maximumMessage)"
      )
    }
    let exchange = try topology.existingExchange(name)
    guard !exchange.properties.isInternal else {
      throw AMQPError(403, "ACCESS_REFUSED - cannot publish to internal exchange '\(name)' in vhost '/'")
    }
    let client = channel.connection
    let read = try PublishedProperties(command.properties)
    if let user = read.userID, !user.isText(client.user) {
      throw AMQPError(
        406, "PRECONDITION_FAILED - user_id property set to '\(user.shown)' but authenticated user was '\(client.user)'"
      )
    }
    let lifetime = try Milliseconds.lifetime(read.expiration)
    var moreKeys: [String] = []
    var properties = command.properties
    if read.wantsDirectReply || read.hasMoreKeys {
      var changed = try command.readProperties()
      if read.wantsDirectReply { changed.replyTo = AMQPText(try DirectReplies.address(channel)) }
      if let headers = changed.headers { moreKeys = try BrokerMessage.moreKeys(headers) }
      if read.wantsDirectReply || changed.headers?["BCC"] != nil {
        changed.headers?["BCC"] = nil
        properties = changed.bytes
      }
    }
    let message = BrokerMessage(
      exchange: name, routingKey: key, moreKeys: moreKeys, properties: properties, body: command.body,
      isPersistent: read.isPersistent, priority: read.priority)
    let routing = Routing(key: key, moreKeys: moreKeys, properties: properties)
    let queues = topology.route(routing, from: exchange)
    if queues.isEmpty, mandatory, channel.transaction == nil { send(back: message, channel) }
    if name.isEmpty { replies.deliver(message, routing) }
    guard channel.transaction == nil else {
      let publication = ChannelTransaction.Publication(
        message: message, queues: queues, lifetime: lifetime, isMandatory: mandatory)
      client.transactionBytes -= channel.transaction!.bytes
      channel.transaction!.add(publication)
      client.transactionBytes += channel.transaction!.bytes
      return
    }
    confirm(add(message, to: queues, lifetime, client), channel)
  }

  /// Returns a mandatory message that no queue gets.
  private func send(back message: BrokerMessage, _ channel: BrokerChannel) {
    channel.send(
      .basicReturn(code: 312, text: "NO_ROUTE", exchange: message.exchange, routingKey: message.routingKey), message)
  }

  /// Adds the messages of a transaction to their queues. Returns false when one of them is full and
  /// refuses.
  func commit(_ transaction: ChannelTransaction, _ channel: BrokerChannel) -> Bool {
    var isComplete = true
    for publication in transaction.publications {
      if publication.isMandatory, publication.queues.isEmpty { send(back: publication.message, channel) }
      let fate = add(publication.message, to: publication.queues, publication.lifetime, channel.connection)
      if fate == .refused { isComplete = false }
    }
    return isComplete
  }

  /// Adds a message to queues. It is refused when one of them refuses it, and stored when one of
  /// them stores it.
  private func add(
    _ message: BrokerMessage, to queues: [BrokerQueue], _ lifetime: Milliseconds?, _ client: BrokerConnection
  ) -> QueueDispatcher.Admission {
    client.hasPublished = true
    var fate = QueueDispatcher.Admission.kept
    for queue in queues where !queue.isDeleted {
      switch dispatcher.enqueue(message, in: queue, lifetime: lifetime) {
      case .stored: if fate == .kept { fate = .stored }
      case .kept: client.fillsMemory = true
      case .refused:
        client.fillsMemory = true
        fate = .refused
      }
    }
    return fate
  }

  private func confirm(_ fate: QueueDispatcher.Admission, _ channel: BrokerChannel) {
    guard channel.confirms.isEnabled else { return }
    let tag = channel.confirms.expect()
    switch fate {
    case .stored where !planted(.confirmsEarly): return journal.confirm(tag, on: channel)
    case .refused: channel.confirms.refuse(tag)
    case .stored, .kept: channel.confirms.confirm(tag)
    }
    channel.sendConfirmsSoon()
  }
}
