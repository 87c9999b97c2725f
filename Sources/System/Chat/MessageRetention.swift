import Environment

/// Removes messages that are older than the setting says.
actor MessageRetention {
  /// The longest time between two passes.
  private static let longest: Duration = .seconds(60)

  private let environment: Environment
  private let database: Database
  private let fanOut: FanOut
  private let age: Duration
  private let serialExecutor: ActorExecutor
  private var removed = 0
  private var isClosed = false

  nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  init(_ environment: Environment, _ database: Database, _ fanOut: FanOut, age: Duration) {
    self.environment = environment
    self.database = database
    self.fanOut = fanOut
    self.age = age
    serialExecutor = environment.executor.forActor("message-retention")
  }

  nonisolated func start() { environment.executor.spawn("message-retention") { await self.run() } }

  func close() { isClosed = true }

  /// The metric of the messages that were removed.
  var metric: MetricFamily {
    MetricFamily(
      "parley_chat_messages_removed_total", .counter, "Messages that were removed for their age.", Double(removed))
  }

  private func run() async {
    let interval = max(.milliseconds(500), min(Self.longest, age / 10))
    while !isClosed {
      do {
        try await environment.clock.sleep(for: interval)
        var count: Int
        repeat { count = try await pass() } while count == RemovedMessagesTable.maximumPass && !isClosed
      } catch is NodeDown {
        return
      } catch DatabaseError.closed {
        return
      } catch {
        // The database has logged the failure, and the next pass removes these messages.
      }
    }
  }

  /// Removes a bounded number of messages. One that waits to be published stays.
  private func pass() async throws -> Int {
    let position = await fanOut.lastEmitted
    let time = environment.clock.wallTime + (.zero - age)
    let count = try await database.transaction {
      try await ChatTables($0).removed.removeOldest(storedBefore: time, through: position)
    }
    removed += count
    return count
  }
}
