import Environment

/// The exchanges and queues that a client declares and deletes, and its questions about them. All
/// of them use the publisher's channel, so that a publication finds what was declared before it.
/// Used on the client's actor.
struct AMQPTopology {
  /// The number of messages in a queue that are ready.
  typealias Depth = (queue: String, messages: UInt32)

  private struct Deletion {
    let queue: String
    let batch: AMQPBatch
  }

  private struct DepthQuestion {
    let expected: Int
    let waiter: UnsafeContinuation<[Depth], Never>
    var found: [Depth] = []
  }

  private var declarations: [AMQPDeclaration] = []
  /// Deletions that the broker has not answered, in the order in which they were sent.
  private var deletions: [Deletion] = []
  private var question: DepthQuestion?

  /// Adds declarations. Returns those that are new. A name that no frame holds is logged and left
  /// out: no broker has an exchange or queue of that name.
  mutating func add(_ wanted: [AMQPDeclaration], _ log: Log) -> [AMQPDeclaration] {
    var added: [AMQPDeclaration] = []
    for declaration in wanted where !declarations.contains(declaration) {
      guard declaration.isFrameable else {
        log.error("amqp-name-too-long", ["declaration": .string("\(declaration)")])
        continue
      }
      declarations.append(declaration)
      added.append(declaration)
    }
    return added
  }

  /// Writes everything that a newly opened channel has to know.
  func write(to output: inout [UInt8]) {
    for deletion in deletions { Self.write(deleting: deletion.queue, to: &output) }
    for declaration in declarations { declaration.write(on: AMQPPublisher.channel, to: &output) }
  }

  /// Forgets the declaration of a queue: the broker need not have it on the next connection.
  mutating func forget(_ queue: String, exchange: String) {
    declarations.removeAll { $0 == .queue(queue, exchange: exchange) }
  }

  // MARK: Deletions

  /// Forgets the declaration of a queue, and notes that the broker has to delete it.
  mutating func delete(_ queue: String, exchange: String, _ batch: AMQPBatch) {
    forget(queue, exchange: exchange)
    deletions.append(Deletion(queue: queue, batch: batch))
  }

  static func write(deleting queue: String, to output: inout [UInt8]) {
    AMQPFrames.write(
      .queueDelete(queue: queue, ifUnused: false, ifEmpty: false, noWait: false), AMQPPublisher.channel, to: &output)
  }

  /// Takes `queue.delete-ok`. A broker answers in order.
  mutating func noteDeletion() { if !deletions.isEmpty { deletions.removeFirst().batch.settle() } }

  /// Fails all deletions: the client is closed.
  mutating func failAll() {
    let failed = deletions
    deletions = []
    for deletion in failed { deletion.batch.fail(NetworkError.closed) }
  }

  // MARK: Depths

  /// Those of some queues whose depth can be asked for: the declared ones. A question about another
  /// queue could end the channel. Empty while a question is under way.
  func askable(_ queues: [String]) -> [String] {
    guard question == nil else { return [] }
    return queues.filter { queue in
      declarations.contains { if case .queue(queue, _) = $0 { true } else { false } }
    }
  }

  /// Asks for the depths of queues, by declaring them again.
  mutating func ask(
    _ queues: [String], _ waiter: UnsafeContinuation<[Depth], Never>, to output: inout [UInt8]
  ) {
    for queue in queues {
      var declaration = AMQPMethod.QueueDeclaration()
      declaration.queue = queue
      declaration.durable = true
      AMQPFrames.write(.queueDeclare(declaration), AMQPPublisher.channel, to: &output)
    }
    question = DepthQuestion(expected: queues.count, waiter: waiter)
  }

  /// Takes `queue.declare-ok`.
  mutating func noteDepth(_ queue: String, _ messages: UInt32) {
    question?.found.append((queue, messages))
    if let question, question.found.count == question.expected { endDepths() }
  }

  /// Answers the question with the depths that are known.
  mutating func endDepths() {
    guard let question else { return }
    self.question = nil
    question.waiter.resume(returning: question.found)
  }
}
