import Environment

/// How what a client has to say gets to its connection: what was written in one turn goes out together.
extension AMQPClient {
  func flush() {
    guard !isWriting, !output.isEmpty, let connection else { return }
    isWriting = true
    let generation = generation
    environment.executor.post(to: self) { $0.writeAll(connection, generation) }
  }

  /// Writes as much as the network takes at once; a task of its own waits for it to take the rest.
  private func writeAll(_ connection: any Connection, _ generation: Int) {
    do {
      if generation == self.generation { sendWaiting() }
      while !output.isEmpty, generation == self.generation {
        let batch = output
        output = []
        lastSent = environment.clock.now
        let count = try connection.writeNow(batch[...])
        if count < batch.count {
          environment.executor.spawn("amqp-writer") {
            await self.write(Array(batch[count...]), connection, generation)
          }
          return
        }
        if generation == self.generation { sendWaiting() }
      }
    } catch {
      connection.reset()
    }
    isWriting = false
    // A new connection may have begun meanwhile.
    if generation != self.generation { flush() }
  }

  private func write(_ rest: [UInt8], _ connection: any Connection, _ generation: Int) async {
    // An error is met again with what comes next.
    do { try await connection.write(rest, deadline: environment.clock.now + Self.patience) } catch {
      connection.reset()
    }
    writeAll(connection, generation)
  }
}
