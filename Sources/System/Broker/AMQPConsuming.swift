/// How deliveries get to their handlers: a batch at a time, settled when the handler is done.
extension AMQPClient {
  func work(_ channel: UInt16) {
    guard consumers[channel]?.isWorking == false else { return }
    consumers[channel]!.isWorking = true
    environment.executor.spawn("amqp-consumer") { await self.workAll(channel) }
  }

  func workAll(_ channel: UInt16) async {
    while let batch = consumers[channel]?.waiting, !batch.isEmpty, !isClosed {
      consumers[channel]!.waiting = []
      let generation = generation
      let handler = consumers[channel]!.handler
      do {
        try await handler(batch)
        settle(.basicAck(tag: batch.last!.tag, multiple: true), channel, generation)
      } catch is NodeDown {
        return
      } catch {
        environment.log.warning("amqp-consumer-failed", ["error": .string("\(error)")])
        do { try await environment.clock.sleep(for: .milliseconds(100)) } catch { return }
        giveBack(batch, channel, generation)
      }
    }
    consumers[channel]?.isWorking = false
  }

  /// Has what failed come again.
  private func giveBack(_ batch: [AMQPDelivery], _ channel: UInt16, _ generation: Int) {
    guard isOpen(channel, generation) else { return }
    if consumers[channel]!.isExclusive {
      // In its place, and not by way of the queue: what is on its way here would overtake it.
      consumers[channel]!.waiting.insert(contentsOf: batch, at: 0)
    } else {
      // What came behind it goes back with it.
      let last = consumers[channel]!.waiting.last ?? batch.last!
      consumers[channel]!.waiting = []
      settle(.basicNack(tag: last.tag, multiple: true, requeue: true), channel, generation)
    }
  }

  /// Settles what came over this connection; what came over an earlier one is settled by its end.
  func settle(_ method: AMQPMethod, _ channel: UInt16, _ generation: Int) {
    guard isOpen(channel, generation) else { return }
    AMQPFrames.write(method, channel, to: &output)
    flush()
  }

  /// Whether what came over the channel in that connection may still be settled there.
  private func isOpen(_ channel: UInt16, _ generation: Int) -> Bool {
    generation == self.generation && isReady && consumers[channel] != nil && !reopening.contains(channel)
  }
}
