/// What becomes of deliveries that a client settles, and of those of a channel that ends.
extension QueueModel {
  /// Applies settlements of one kind on one channel. Returns false if there is no such delivery.
  func settle(_ settlings: [Settling], _ state: inout State) -> Bool {
    var settled: [Held] = []
    for settling in settlings {
      let meant = state.held.filter { held in
        held.channel == settling.channel && !settled.contains(held)
          && (held.tag == settling.tag || settling.isMultiple && held.tag < settling.tag)
      }
      guard meant.contains(where: { $0.tag == settling.tag }) else { return false }
      settled += meant
    }
    settle(settled, settlings[0].kind, &state)
    return true
  }

  /// Settles deliveries together: by queue, then by consumer tag, then by age. Those of `basic.get`
  /// come first, one by one. A queue delivers after each part.
  func settle(_ settled: [Held], _ kind: Settlement, _ state: inout State) {
    struct Part: Hashable, Comparable {
      let queue: Int
      let consumer: String
      /// The tag of a delivery of `basic.get`.
      let got: Int

      static func < (a: Part, b: Part) -> Bool { (a.queue, a.consumer, a.got) < (b.queue, b.consumer, b.got) }
    }
    let parts = Dictionary(grouping: settled) { held in
      Part(queue: held.queue, consumer: held.consumer ?? "", got: held.consumer == nil ? held.tag : 0)
    }
    for (part, deliveries) in parts.sorted(by: { $0.key < $1.key }) {
      state.held.removeAll { deliveries.contains($0) }
      for held in deliveries.sorted(by: { $0.tag < $1.tag }) {
        switch kind {
        case .acknowledge: break
        case .requeue: putBack(held, &state)
        case .drop: bury(held.message, from: held.queue, &state)
        }
      }
      serve(part.queue, &state, afterReturn: kind == .requeue)
    }
  }

  private func putBack(_ held: Held, _ state: inout State) {
    var message = held.message
    message.isRedelivered = true
    message.returns += 1
    if message.returns > rules[held.queue].deliveryLimit {
      bury(message, from: held.queue, &state)
    } else {
      restore(message, to: held.queue, &state)
    }
  }

  /// Returns everything that a channel holds. Each queue has its messages back before it delivers.
  private func requeueAll(_ channel: Int, _ state: inout State) {
    let all = state.held.filter { $0.channel == channel }
    state.held.removeAll { $0.channel == channel }
    for held in all { putBack(held, &state) }
    for queue in Set(all.map(\.queue)).sorted() { serve(queue, &state, afterReturn: true) }
  }

  func close(_ channel: Int, _ state: inout State) {
    state.consumers.removeAll { $0.channel == channel }
    requeueAll(channel, &state)
    state.tags[channel] = 0
  }
}
