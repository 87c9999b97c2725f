import Environment

/// Removes the dead letters that the settings do not keep. The broker itself drops those whose
/// lifetime is over.
actor DeadLetterRetention {
  /// The dead letters that one pass treats.
  static let maximumPass = 500

  private let environment: Environment
  private let broker: BrokerAddress
  private let rule: Retention
  private let interval: Duration
  private let serialExecutor: ActorExecutor
  /// Those that were removed in this life, for their number.
  private(set) var removed = 0
  private var isClosed = false

  nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  /// Nil if the rule keeps all letters.
  init?(_ environment: Environment, _ broker: BrokerAddress, _ rule: Retention) {
    guard let interval = rule.interval else { return nil }
    self.environment = environment
    self.broker = broker
    self.rule = rule
    self.interval = interval
    serialExecutor = environment.executor.forActor("dead-letter-retention")
  }

  nonisolated func start() { environment.executor.spawn("dead-letter-retention") { await self.run() } }

  func close() { isClosed = true }

  private func run() async {
    while !isClosed {
      do {
        try await environment.clock.sleep(for: interval)
        while !isClosed, try await pass() {}
      } catch is NodeDown {
        return
      } catch {
        // The next pass treats these letters.
        environment.log.debug("dead-letter-retention", ["error": .string("\(error)".shortened(toBytes: 256))])
      }
    }
  }

  /// Treats a bounded number of letters. Returns whether there may be more.
  private func pass() async throws -> Bool {
    let (rule, limit) = (rule, Self.maximumPass)
    let queues = try await QueueOperator(environment, broker: broker)
    do {
      let tidied = try await queues.tidyDeadLetters(rule, limit: limit)
      try await queues.close()
      removed += tidied.removed
      return tidied.isFull
    } catch {
      queues.abandon()
      throw error
    }
  }
}
