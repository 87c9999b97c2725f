import Environment

/// Removes messages that the settings do not keep.
struct MessageRetention: Sendable {
  private let environment: Environment
  private let database: Database
  private let fanOut: FanOut
  private let rule: Retention
  /// The time for which each message is kept: another node may have to read it.
  private let shortest: Duration

  init(
    _ environment: Environment, _ database: Database, _ fanOut: FanOut, _ rule: Retention, isOneOfSeveral: Bool
  ) {
    self.environment = environment
    self.database = database
    self.fanOut = fanOut
    self.rule = rule
    shortest = isOneOfSeveral ? .seconds(60) : .zero
  }

  /// The metric of the messages that were removed.
  static func metric(_ removed: Int) -> MetricFamily {
    MetricFamily(
      "parley_chat_messages_removed_total", .counter, "Messages that were removed for their age or number.",
      Double(removed))
  }

  /// Removes a bounded number of messages. One that waits to be published stays.
  @Sendable func pass() async throws -> RetentionPasses.Pass {
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
    return RetentionPasses.Pass(removed: pass.count, mayHaveMore: !pass.isLast)
  }
}
