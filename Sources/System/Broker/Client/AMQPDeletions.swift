import Environment

/// A queue that a client deletes, and whoever waits for it.
struct AMQPDeletion {
  let queue: String
  let batch: AMQPBatch
}

/// Deletes queues, however often the connection breaks meanwhile.
extension AMQPClient {
  /// Deletes a queue, and returns once the broker has; it is not to be declared again before.
  /// - Throws: `NetworkError.closed` when the client is closed before; `AMQPFramingError` for a name that is too long.
  public func delete(_ queue: String, exchange: String) async throws {
    guard !isClosed else { throw NetworkError.closed }
    try AMQPFramingError.check(queue, "queue")
    declarations.removeAll { $0 == .queue(queue, exchange: exchange) }
    let deletion = AMQPDeletion(queue: queue, batch: AMQPBatch(1))
    try await withUnsafeThrowingContinuation { continuation in
      deletion.batch.continuation = continuation
      deletions.append(deletion)
      if isReady { write(deletion) }
      flush()
    }
  }

  func write(_ deletion: AMQPDeletion) {
    AMQPFrames.write(
      .queueDelete(queue: deletion.queue, ifUnused: false, ifEmpty: false, noWait: false), Self.publisher, to: &output)
  }

  /// The broker answers in the order in which it was asked.
  func noteDeletion() { if !deletions.isEmpty { deletions.removeFirst().batch.settled() } }

  func failDeletions() {
    let waiting = deletions
    deletions = []
    for deletion in waiting { deletion.batch.failed(NetworkError.closed) }
  }
}
