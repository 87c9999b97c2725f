/// How full queues are, for people who look.
extension AMQPClient {
  /// How many messages are ready in each of these queues; none for all of them when there is no connection. A queue that is not there
  /// would end the channel, so it is declared, as `declare` would.
  public func depths(_ queues: [String]) async -> [(queue: String, messages: UInt32)] {
    guard isReady, depthQuestion == nil else { return [] }
    let wanted = queues.filter { queue in
      declarations.contains { if case .queue(queue, _) = $0 { true } else { false } }
    }
    guard !wanted.isEmpty else { return [] }
    for queue in wanted {
      var declaration = AMQPMethod.QueueDeclaration()
      declaration.queue = queue
      declaration.durable = true
      write(declaration)
    }
    let count = wanted.count
    let answers = await withUnsafeContinuation { continuation in
      depthQuestion = (count, [], continuation)
      flush()
    }
    return answers
  }

  func noteDepth(_ queue: String, _ messages: UInt32) {
    depthQuestion?.found.append((queue, messages))
    if let question = depthQuestion, question.found.count == question.expected { endDepths() }
  }

  func endDepths() {
    guard let question = depthQuestion else { return }
    depthQuestion = nil
    question.continuation.resume(returning: question.found)
  }
}
