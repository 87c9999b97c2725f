import Environment

/// How deliveries get to their handlers: a batch at a time, settled when the handler is done.
extension AMQPClient {
  func work(_ id: Int) {
    guard consumers[id]?.isWorking == false else { return }
    consumers[id]!.isWorking = true
    environment.executor.spawn("amqp-consumer") { await self.workAll(id) }
  }

  private func workAll(_ id: Int) async {
    while let consumer = consumers[id], !consumer.waiting.isEmpty, !isClosed {
      let (batch, opening) = (consumer.waiting, consumer.opening)
      consumers[id]!.waiting = []
      do {
        try await consumer.handler(batch)
        release(batch)
        settle(.basicAck(tag: batch.last!.tag, multiple: true), id, opening)
      } catch is NodeDown {
        return
      } catch {
        environment.log.warning("amqp-consumer-failed", ["error": .string("\(error)")])
        do { try await environment.clock.sleep(for: .milliseconds(100)) } catch { return }
        giveBack(batch, id, opening)
      }
    }
    consumers[id]?.isWorking = false
  }

  private func release(_ batch: [AMQPDelivery]) { heldBytes -= batch.reduce(0) { $0 + $1.size } }

  /// Drops what waits for a handler: it comes again.
  func forgetWaiting(_ id: Int) {
    guard let waiting = consumers[id]?.waiting, !waiting.isEmpty else { return }
    release(waiting)
    consumers[id]!.waiting = []
  }

  /// Has what failed come again.
  private func giveBack(_ batch: [AMQPDelivery], _ id: Int, _ opening: Int) {
    guard isOpen(id, opening) else { return release(batch) }
    if consumers[id]!.isExclusive {
      // In its place, and not by way of the queue: what is on its way here would overtake it.
      consumers[id]!.waiting.insert(contentsOf: batch, at: 0)
    } else {
      release(batch)
      // What came behind it goes back with it.
      let last = consumers[id]!.waiting.last ?? batch.last!
      forgetWaiting(id)
      settle(.basicNack(tag: last.tag, multiple: true, requeue: true), id, opening)
    }
  }

  /// Settles what came over this opening of the channel; what came over an earlier one is settled by its end.
  private func settle(_ method: AMQPMethod, _ id: Int, _ opening: Int) {
    guard isOpen(id, opening), let channel = consumers[id]?.channel else { return }
    AMQPFrames.write(method, channel, to: &output)
    flush()
  }

  /// Whether what came over an opening of its channel may still be settled there.
  private func isOpen(_ id: Int, _ opening: Int) -> Bool {
    isReady && consumers[id]?.opening == opening && consumers[id]?.isOpen == true
  }
}
