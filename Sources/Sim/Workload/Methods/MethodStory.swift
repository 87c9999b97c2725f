/// Steps, answers and states in words, for the report of a breach.
extension QueueModel.Input: CustomStringConvertible {
  var description: String {
    switch self {
    case .publish(let publication, let fate): "publish \(publication)\(Self.answer(fate))"
    case .get(let queue, let channel, let noAck, let got):
      "get from \(queue) on \(channel)\(noAck ? " without acknowledgement" : "")\(Self.answer(got))"
    case .settle(let settling): "\(settling)"
    case .recover(let channel): "recover \(channel)"
    case .consume(let consumer):
      "consume \(consumer.queue) as \(consumer.tag) on \(consumer.channel), at most \(consumer.prefetch)"
    case .cancel(let tag): "cancel \(tag)"
    case .purge(let queue, let count): "purge \(queue)\(Self.answer(count))"
    case .transaction(let publications, let settlings, let isCommitted):
      "\(isCommitted ? "commit" : "roll back") \((publications.map(\.description) + settlings.map(\.description)))"
    case .count(let queue, let ready, let consumers):
      "count \(queue)\(Self.answer(ready.map { "\($0) messages, \(consumers ?? 0) consumers" }))"
    case .bind(let queue, let binding, let isBound):
      "\(isBound ? "bind" : "unbind") \(queue): \(RoutingModel.bindings[binding])"
    case .deleteExchange(let kind): "delete the \(kind.rawValue) exchange"
    case .closeChannel(let channel): "close channel \(channel)"
    }
  }

  private static func answer(_ answer: (some Any)?) -> String { answer.map { " → \($0)" } ?? "" }
}

extension QueueModel.Publication: CustomStringConvertible {
  var description: String {
    let kind = message.isPersistent ? "" : ", transient"
    let size = "\(message.bytes) bytes, priority \(message.priority)"
    return "\(message.number) (\(size)\(kind)\(isMandatory ? ", mandatory" : "")) to \(route)"
  }
}

extension QueueModel.Settling: CustomStringConvertible {
  var description: String { "\(kind) \(tag)\(isMultiple ? " and all before" : "") on \(channel)" }
}

extension QueueModel.Got: CustomStringConvertible {
  var description: String {
    switch self {
    case .empty: "empty"
    case .message(let number, let tag, let isRedelivered, let left):
      "\(number)\(isRedelivered ? " again" : "") as \(tag), \(left) left"
    }
  }
}

extension QueueModel.Delivery: CustomStringConvertible {
  var description: String { "\(number)\(isRedelivered ? " again" : "") as \(tag) for \(consumer) on \(channel)" }
}

extension QueueModel.State: CustomStringConvertible {
  var description: String {
    let queues = ready.map { queue in
      "[\(queue.map { "\($0.number)\($0.isRedelivered ? " again" : "")" }.joined(separator: ", "))]"
    }
    let held = held.map { "\($0.message.number) as \($0.tag) on \($0.channel)" }
    return "ready \(queues.joined(separator: " ")), held [\(held.joined(separator: ", "))]"
  }
}

extension QueueModel.Rules: CustomStringConvertible {
  var description: String {
    var parts: [String] = []
    if maximumLength < .max { parts.append("at most \(maximumLength) messages") }
    if maximumBytes < .max { parts.append("at most \(maximumBytes) bytes") }
    if overflow != .dropHead { parts.append(overflow.rawValue) }
    if highestPriority > 0 { parts.append("priorities to \(highestPriority)") }
    if deliveryLimit < .max { parts.append("at most \(deliveryLimit) returns") }
    if let deadLetters { parts.append("dead letters to \(deadLetters)") }
    return parts.isEmpty ? "no limits" : parts.joined(separator: ", ")
  }
}
