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
        // What came behind it goes back with it, so that all of it comes again in its order.
        let last = consumers[channel]?.waiting.last?.tag ?? batch.last!.tag
        if generation == self.generation { consumers[channel]?.waiting = [] }
        settle(.basicNack(tag: last, multiple: true, requeue: true), channel, generation)
      }
    }
    consumers[channel]?.isWorking = false
  }

  /// Settles what came over this connection; what came over an earlier one is settled by its end.
  func settle(_ method: AMQPMethod, _ channel: UInt16, _ generation: Int) {
    guard generation == self.generation, isReady, consumers[channel] != nil, !reopening.contains(channel) else {
      return
    }
    AMQPFrames.write(method, channel, to: &output)
    flush()
  }
}
