import Environment

/// Serves what clients ask for on their channels. Used on the broker's actor.
struct BrokerCommands {
  /// Channels of one connection.
  static let maximumChannels: UInt16 = 2047
  /// Reply codes that close the channel. The others close the connection (AMQP 0-9-1, the
  /// constants' classes).
  private static let softErrors: Set<UInt16> = [311, 312, 313, 403, 404, 405, 406]

  let topology: TopologyCommands
  let publications: Publications
  let consumptions: Consumptions
  let dispatcher: QueueDispatcher
  let settlements: Settlements
  let removals: Removals

  /// Serves a command. Its answer is written to the client's output.
  /// - Throws: `AMQPError` when the connection has to be closed.
  func take(_ command: AMQPCommand, _ client: BrokerConnection) throws(AMQPError) {
    let number = command.channel
    guard number != 0 else { return try takeForConnection(command, client) }
    if case .channelOpen = command.method {
      guard client.channels[number] == nil else {
        throw AMQPError(504, "CHANNEL_ERROR - second 'channel.open' seen")
      }
      guard client.channels.count < Int(client.channelMax) else {
        throw AMQPError(
          530,
          "NOT_ALLOWED - number of channels opened (\(client.channels.count)) has reached the negotiated channel_max (\(client.channelMax))"
        )
      }
      client.channels[number] = BrokerChannel(number, client)
      client.send(.channelOpenOk, on: number)
      return
    }
    guard let channel = client.channels[number] else {
      throw AMQPError(504, "CHANNEL_ERROR - expected 'channel.open'")
    }
    if channel.isClosing {
      if case .channelCloseOk = command.method { client.channels[number] = nil }
      // Both sides have closed it at the same time.
      if case .channelClose = command.method { client.send(.channelCloseOk, on: number) }
      return
    }
    do throws(AMQPError) {
      if let answer = try serve(command, channel) { client.send(answer, on: number) }
    } catch {
      guard Self.softErrors.contains(error.code) else { throw error }
      let id = command.method.id
      // Confirms of earlier publications come before the end of their channel.
      channel.sendConfirms()
      removals.close(channel)
      client.send(
        .channelClose(
          code: error.code, text: error.reason, classID: UInt16(id >> 16), methodID: UInt16(id & 0xFFFF)), on: number)
    }
  }

  private func takeForConnection(_ command: AMQPCommand, _ client: BrokerConnection) throws(AMQPError) {
    switch command.method {
    // RabbitMQ's own users, like the broker's, have no secret that expires.
    case .connectionUpdateSecret: client.send(.connectionUpdateSecretOk, on: 0)
    default: throw AMQPError(503, "COMMAND_INVALID - unexpected method on channel 0")
    }
  }

  /// Serves a method. Returns the answer, unless it was written already.
  private func serve(_ command: AMQPCommand, _ channel: BrokerChannel) throws(AMQPError) -> AMQPMethod? {
    switch command.method {
    case .basicPublish: try publications.publish(command, channel)
    case .basicAck(let tag, let multiple): try settlements.acknowledge(tag, multiple: multiple, channel)
    case .basicNack(let tag, let multiple, let requeue):
      try settlements.reject(tag, multiple: multiple, requeue: requeue, channel)
    case .basicReject(let tag, let requeue): try settlements.reject(tag, multiple: false, requeue: requeue, channel)
    case .basicGet(let name, let noAck): return try consumptions.get(name, noAck: noAck, command, channel)
    case .basicConsume(let consumption): try consumptions.consume(consumption, channel)
    case .basicCancel(let tag, let noWait):
      // The answer precedes deliveries to another consumer.
      if !noWait { channel.send(.basicCancelOk(tag: tag)) }
      removals.cancel(tag, channel)
    case .basicQos(let size, let count, let isGlobal):
      guard size == 0 else { throw AMQPError(540, "NOT_IMPLEMENTED - prefetch_size!=0 (\(size))") }
      if !isGlobal { channel.prefetch = Int(count) }
      // A limit for each consumer ends that of all together, as in RabbitMQ.
      channel.sharedPrefetch.change(to: isGlobal ? Int(count) : 0, unsettled: channel.unsettled.count)
      // The answer precedes the deliveries for which a higher limit makes room.
      channel.send(.basicQosOk)
      dispatcher.goOn(channel)
    case .basicRecover(let requeue), .basicRecoverAsync(let requeue):
      guard requeue else { throw AMQPError(540, "NOT_IMPLEMENTED - requeue=false") }
      // The answer precedes the deliveries that follow from it.
      if case .basicRecover = command.method { channel.send(.basicRecoverOk) }
      settlements.recover(channel)
    case .channelFlow(let active):
      channel.isFlowing = active
      channel.send(.channelFlowOk(active: active))
      dispatcher.goOn(channel)
    case .channelClose:
      channel.sendConfirms()
      removals.close(channel)
      channel.connection.channels[channel.number] = nil
      return .channelCloseOk
    case .channelCloseOk, .channelFlowOk, .basicCancelOk: break
    default: return try serveMode(command.method, channel)
    }
    return nil
  }

  /// Serves a method about confirms or transactions.
  private func serveMode(_ method: AMQPMethod, _ channel: BrokerChannel) throws(AMQPError) -> AMQPMethod? {
    switch method {
    case .confirmSelect(let noWait):
      guard channel.transaction == nil else {
        throw AMQPError(406, "PRECONDITION_FAILED - cannot switch from tx to confirm mode")
      }
      channel.confirms.isEnabled = true
      return noWait ? nil : .confirmSelectOk
    case .txSelect:
      guard !channel.confirms.isEnabled else {
        throw AMQPError(406, "PRECONDITION_FAILED - cannot switch from confirm to tx mode")
      }
      if channel.transaction == nil { channel.transaction = ChannelTransaction() }
      return .txSelectOk
    case .txCommit:
      let transaction = try endTransaction(channel)
      let isComplete = publications.commit(transaction, channel)
      settlements.settle(transaction, channel)
      guard isComplete else { throw AMQPError(406, "PRECONDITION_FAILED - partial tx completion") }
      channel.connection.output.hold()
      return .txCommitOk
    case .txRollback:
      settlements.rollBack(try endTransaction(channel), channel)
      return .txRollbackOk
    default: return try topology.serve(method, channel)
    }
  }

  /// Begins the next transaction. Returns the last one.
  private func endTransaction(_ channel: BrokerChannel) throws(AMQPError) -> ChannelTransaction {
    guard let transaction = channel.transaction else {
      throw AMQPError(406, "PRECONDITION_FAILED - channel is not transactional")
    }
    channel.transaction = ChannelTransaction()
    channel.connection.transactionBytes -= transaction.bytes
    return transaction
  }
}
