import Environment

/// Makes clients that publish wait while too much is in memory. No other client waits. Used on the
/// broker's actor.
struct PublisherThrottle {
  private let environment: Environment
  private let journal: BrokerJournal
  private let ledger: MessageLedger

  init(_ environment: Environment, _ journal: BrokerJournal, _ ledger: MessageLedger) {
    self.environment = environment
    self.journal = journal
    self.ledger = ledger
  }

  /// Waits, before more is read from a client, until there is room for its publications.
  func wait(_ client: BrokerConnection) async {
    guard client.hasPublished else { return }
    while ledger.isDiskBehind, !journal.isClosed, !client.isGone { if await !journal.stored() { return } }
    if client.fillsMemory, ledger.isMemoryFull { await block(client) }
    client.hasPublished = false
    client.fillsMemory = false
  }

  /// Blocks a client that fills memory, and tells it so.
  private func block(_ client: BrokerConnection) async {
    environment.log.warning("amqp-blocked", ["connection": .int(Int64(client.id))])
    client.isPaused = true
    client.isBlocked = true
    if client.hearsBlocking {
      client.send(.connectionBlocked(reason: "low on memory"), on: 0)
      client.flush()
    }
    while !ledger.isMemoryFreeAgain, !journal.isClosed, !client.isGone, !client.connection.hasEnded {
      do { try await environment.clock.sleep(for: .milliseconds(20)) } catch { break }
    }
    client.lastHeard = environment.clock.now
    client.isPaused = false
    client.isBlocked = false
    if client.hearsBlocking {
      client.send(.connectionUnblocked, on: 0)
      client.flush()
    }
  }
}
