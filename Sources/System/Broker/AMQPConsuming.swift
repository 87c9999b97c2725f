/// How deliveries get to their handlers: a batch at a time, settled when the handler is done.
extension AMQPClient {
  func work(_ channel: UInt16) {
    guard consumers[channel]?.isWorking == false else { return }
    consumers[channel]!.isWorking = true
    let id = consumers[channel]!.id
    environment.executor.spawn("amqp-consumer") { await self.workAll(channel, id) }
  }

  private func workAll(_ channel: UInt16, _ id: Int) async {
    // The channel may be another consumer's by the time a handler returns.
    while let consumer = consumers[channel], consumer.id == id, !consumer.waiting.isEmpty, !isClosed {
      let (batch, opening) = (consumer.waiting, consumer.opening)
      consumers[channel]!.waiting = []
      do {
        try await consumer.handler(batch)
        settle(.basicAck(tag: batch.last!.tag, multiple: true), channel, opening)
      } catch is NodeDown {
        return
      } catch {
        environment.log.warning("amqp-consumer-failed", ["error": .string("\(error)")])
        do { try await environment.clock.sleep(for: .milliseconds(100)) } catch { return }
        giveBack(batch, channel, opening)
      }
    }
    if consumers[channel]?.id == id { consumers[channel]!.isWorking = false }
  }

  /// Has what failed come again.
  private func giveBack(_ batch: [AMQPDelivery], _ channel: UInt16, _ opening: Int) {
    guard isOpen(channel, opening) else { return }
    if consumers[channel]!.isExclusive {
      // In its place, and not by way of the queue: what is on its way here would overtake it.
      consumers[channel]!.waiting.insert(contentsOf: batch, at: 0)
    } else {
      // What came behind it goes back with it.
      let last = consumers[channel]!.waiting.last ?? batch.last!
      consumers[channel]!.waiting = []
      settle(.basicNack(tag: last.tag, multiple: true, requeue: true), channel, opening)
    }
  }

  /// Settles what came over this opening of the channel; what came over an earlier one is settled by its end.
  private func settle(_ method: AMQPMethod, _ channel: UInt16, _ opening: Int) {
    guard isOpen(channel, opening) else { return }
    AMQPFrames.write(method, channel, to: &output)
    flush()
  }

  /// Whether what came over an opening of the channel may still be settled there.
  private func isOpen(_ channel: UInt16, _ opening: Int) -> Bool {
    isReady && consumers[channel]?.opening == opening && !reopening.contains(channel)
  }
}
