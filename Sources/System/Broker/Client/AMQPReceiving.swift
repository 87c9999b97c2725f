import Environment

/// What comes from the broker, on an open connection.
extension AMQPClient {
  /// False when the connection has ended in order.
  func take(_ command: AMQPCommand) throws -> Bool {
    switch command.method {
    case .basicAck(let tag, let multiple): confirm(tag, multiple)
    case .basicNack(let tag, let multiple, _):
      // The broker could not take it: a new connection publishes it again.
      throw AMQPError(506, "publication \(tag) was refused\(multiple ? ", and those before" : "")")
    case .basicDeliver(_, let tag, let redelivered, _, _): try take(command, tag, redelivered)
    case .queueDeclareOk(let queue, let messages, _): noteDepth(queue, messages)
    case .queueDeleteOk: noteDeletion()
    case .exchangeDeclareOk: endAnswers(true)
    case .connectionBlocked(let reason):
      if !isBlocked { environment.log.warning("amqp-blocked", ["reason": .string(reason)]) }
      isBlocked = true
    case .connectionUnblocked:
      isBlocked = false
      sendWaiting()
    case .basicCancel:
      // The queue was deleted. It is declared again by the one who deleted it, and consumed again here.
      guard let id = channels.consumers[command.channel], consumers[id]?.isOpen == true else { break }
      forgetWaiting(id)
      consumers[id]!.isOpen = false
      AMQPFrames.write(.channelClose(code: 200, text: "again", classID: 0, methodID: 0), command.channel, to: &output)
      channels.close(command.channel, reopeningFor: id)
    case .channelClose(let code, let text, let classID, let methodID):
      AMQPFrames.write(.channelCloseOk, command.channel, to: &output)
      try noteClose(of: command.channel, AMQPError(code, text), isPublication: classID == 60 && methodID == 40)
    case .channelCloseOk:
      if let id = channels.closed(command.channel, where: { consumers[$0] != nil }) { open(id, on: command.channel) }
      openWaiting()
    case .connectionClose(let code, let text, _, _):
      AMQPFrames.write(.connectionCloseOk, 0, to: &output)
      flush()
      throw AMQPError(code, text)
    case .connectionCloseOk: return false
    case .channelOpenOk, .confirmSelectOk, .basicQosOk, .basicConsumeOk, .basicReturn: break
    default: throw AMQPError(503, "a method that a client is not sent")
    }
    return true
  }

  private func take(_ command: AMQPCommand, _ tag: UInt64, _ redelivered: Bool) throws {
    guard let id = channels.consumers[command.channel], consumers[id]?.isOpen == true else { return }
    let delivery = delivery(command, tag, redelivered)
    guard consumers[id]!.waiting.count < 2 * Int(Self.maximumPrefetch) else {
      throw AMQPError(506, "the broker delivers more than was asked for")
    }
    guard heldBytes + delivery.size <= Self.maximumHeld else {
      // The next connection asks for fewer at once.
      prefetch = max(1, prefetch / 4)
      throw AMQPError(506, "deliveries of more than \(Self.maximumHeld) bytes wait to be handled")
    }
    heldBytes += delivery.size
    consumers[id]!.waiting.append(delivery)
    work(id)
  }

  /// A delivery as handlers get it. One that cannot be read carries the reason, so that it is set aside by itself and
  /// the queue goes on.
  private func delivery(_ command: AMQPCommand, _ tag: UInt64, _ redelivered: Bool) -> AMQPDelivery {
    do throws(AMQPError) {
      var delivery = AMQPDelivery(
        properties: try command.readProperties(), body: command.body, isRedelivered: redelivered, tag: tag)
      if command.omittedBytes > 0 { delivery.fault = "a body of \(command.omittedBytes) bytes" }
      return delivery
    } catch {
      var delivery = AMQPDelivery(
        properties: AMQPProperties(), body: command.body, isRedelivered: redelivered, tag: tag)
      delivery.fault = "properties that cannot be read: \(error.reason)"
      return delivery
    }
  }

  private func noteClose(of channel: UInt16, _ error: AMQPError, isPublication: Bool) throws {
    // Both sides have closed it at once: the answer to ours is still to come.
    if channels.isClosing(channel) { return }
    if channel == Self.publisher, isPublication, sent.underWay > 0 { return noteRefusal(error) }
    guard error.code == 403, let id = channels.consumers[channel], consumers[id]?.isExclusive == true else {
      throw error
    }
    consumers[id]!.isOpen = false
    let opening = consumers[id]!.opening
    environment.executor.spawn("amqp-wait-for-queue") { await self.openAgain(id, opening) }
  }

  /// Another consumer has the queue: a dead one, of which the broker has not noticed that it is.
  private func openAgain(_ id: Int, _ opening: Int) async {
    do { try await environment.clock.sleep(for: Self.queuePatience) } catch { return }
    guard isReady, !isClosed, let consumer = consumers[id], consumer.opening == opening, let channel = consumer.channel
    else { return }
    open(id, on: channel)
    flush()
  }
}
