import Environment

/// Finds what clients that recover have missed: in the log of this node, which it fills from the
/// tables for the first of them.
actor Recoveries {
  /// Positions that one read takes.
  private static let page: Int64 = 1000
  /// Reads that fill the log at most.
  private static let maximumPages = 100
  /// A message that is so much older than the last one was missed by nobody.
  private static let age: Duration = .seconds(300)

  private let environment: Environment
  private let fanOut: FanOut
  private let serialExecutor: ActorExecutor
  private var isLoading = false
  private let loaded = Gate()

  nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  init(_ environment: Environment, _ fanOut: FanOut) {
    self.environment = environment
    self.fanOut = fanOut
    serialExecutor = environment.executor.forActor("recoveries")
  }

  /// Whether a room's events after `offset` can be sent again.
  func canReplay(_ room: String, after offset: EventOffset) async throws -> Bool {
    let history = await fanOut.beginHistory()
    while isLoading {
      guard await loaded.wait(in: environment) else { throw NodeDown() }
    }
    if !history.holds(after: offset) {
      isLoading = true
      defer {
        isLoading = false
        loaded.open()
      }
      try await load(into: history)
    }
    return history.missed(in: room, after: offset) != nil
  }

  /// Reads events from before the log, newest first, until those that nobody may have missed.
  private func load(into history: EventHistory) async throws {
    guard let floor = history.roomyFloor else { return }
    var end = Position(floor.position)
    var older: [[RoomEvent]] = []
    var (bytes, newest, isWhole) = (0, Timestamp?.none, false)
    for _ in 0..<Self.maximumPages where end.value > 0 && bytes < EventLog.standardBytes / 2 {
      let begin = Position(max(0, end.value - Self.page))
      let page = try await fanOut.stored(after: begin, through: end)
      older.append(page.events)
      bytes += page.events.reduce(0) { $0 + $1.message.frame.count }
      end = begin
      newest = newest ?? page.newest
      if let newest, let oldest = page.oldest, newest - oldest > Self.age { isWhole = true }
      if isWhole { break }
    }
    // Messages up to here were removed, perhaps some of them just now.
    let removed = try await fanOut.lastRemoved()
    guard removed.value < floor.position else { return }
    history.extend(
      by: older.reversed().flatMap(\.self), after: max(end, removed), to: floor,
      isWhole: (isWhole || end.value == 0) && removed <= end)
  }
}
