import Environment

/// How what a commit left to publish gets to the broker.
extension UserManager {
  /// How long rows that were published wait for another commit.
  private static let forgettingDelay: Duration = .milliseconds(500)

  func startPublishing() {
    guard !isPublishing, !outbox.isEmpty else { return }
    isPublishing = true
    environment.executor.spawn("manager-publisher") { await self.publishAll() }
  }

  /// Publishes what was committed, in its order, and forgets what the broker has confirmed.
  private func publishAll() async {
    while !outbox.isEmpty {
      let batch = Array(outbox.prefix { $0.kind == .publish }.prefix(Self.maximumBatch))
      do {
        if batch.isEmpty {
          let row = outbox[0]
          switch row.kind {
          case .remove: try await client.delete(row.routingKey, exchange: row.exchange)
          case .declare, .publish: await client.declare([.queue(row.routingKey, exchange: row.exchange)])
          }
        } else {
          try await client.publishEach(batch.compactMap(message))
        }
      } catch  where AMQPClient.isAboutMessage(error) {
        environment.log.error(
          "row-set-aside", ["row": .string("outbox \(outbox[0].position)"), "error": .string("\(error)")])
      } catch {
        // The client was closed: the next life publishes it.
        break
      }
      let last = outbox[max(0, batch.count - 1)].position
      outbox.removeFirst(max(1, batch.count))
      publishedThrough = last
      forgetSoon()
    }
    isPublishing = false
  }

  /// The message of a row; nil for one whose properties cannot be read.
  private func message(_ row: OutboxRow) -> AMQPMessage? {
    var reader = AMQPReader(row.properties[...])
    guard var properties = try? AMQPProperties(&reader) else {
      environment.log.error("row-set-aside", ["row": .string("outbox \(row.position)")])
      return nil
    }
    if properties.messageID == nil { properties.messageID = "um-\(identity)-\(row.position)" }
    return AMQPMessage(exchange: row.exchange, routingKey: row.routingKey, properties: properties, body: row.body)
  }

  /// A row that stays is published once more by the next life, under the same id, so it can wait for a commit that somebody waits
  /// for. When none comes, it gets one of its own.
  private func forgetSoon() {
    guard !isForgettingSoon else { return }
    isForgettingSoon = true
    environment.executor.spawn("manager-forget") {
      do { try await self.environment.clock.sleep(for: Self.forgettingDelay) } catch { return }
      await self.forgetPublished()
    }
  }

  func forgetPublished() async {
    isForgettingSoon = false
    let last = publishedThrough
    guard last > forgottenThrough else { return }
    do {
      try await database.transaction { try $0.forgetOutbox(through: last) }
      forgottenThrough = max(forgottenThrough, last)
    } catch {
      environment.log.info("outbox-rows-stay", ["error": .string("\(error)")])
    }
  }
}
