import Environment

/// Removes messages that the settings do not keep.
actor MessageRetention {
  private let environment: Environment
  private let database: Database
  private let fanOut: FanOut
  private let rule: Retention
  private let interval: Duration
  /// The time for which each message is kept: another node may have to read it.
  private let shortest: Duration
  private let serialExecutor: ActorExecutor
  private var removed = 0
  private var isClosed = false

  nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  init(
    _ environment: Environment, _ database: Database, _ fanOut: FanOut, _ rule: Retention, interval: Duration,
    isOneOfSeveral: Bool
  ) {
    self.environment = environment
    self.database = database
    self.fanOut = fanOut
    self.rule = rule
    self.interval = interval
    shortest = isOneOfSeveral ? .seconds(60) : .zero
    serialExecutor = environment.executor.forActor("message-retention")
  }

  nonisolated func start() { environment.executor.spawn("message-retention") { await self.run() } }

  func close() { isClosed = true }

  /// The metric of the messages that were removed.
  var metric: MetricFamily {
    MetricFamily(
      "parley_chat_messages_removed_total", .counter, "Messages that were removed for their age or number.",
      Double(removed))
  }

  private func run() async {
    while !isClosed {
      do {
        try await environment.clock.sleep(for: interval)
        while !isClosed, try await pass() {}
      } catch is NodeDown {
        return
      } catch DatabaseError.closed {
        return
      } catch {
        // The database has logged the failure, and the next pass removes these messages.
      }
    }
  }

  /// Removes a bounded number of messages. One that waits to be published stays. Returns whether
  /// there may be more to do.
  private func pass() async throws -> Bool {
    let position = await fanOut.lastEmitted
    let rule = rule
    let now = environment.clock.wallTime
    let time = rule.age.map { now + (.zero - $0) }
    let newest = now + (.zero - shortest)
    let limit = environment.limits[.removedMessages]
    let pass = try await database.transaction {
      try await ChatTables($0).removed.remove(
        storedBefore: time, beyond: rule.number, ofThoseBefore: newest, through: position, atMost: limit)
    }
    removed += pass.count
    return !pass.isLast
  }
}
