import Environment

/// Emits publications to sockets in the order in which they were committed.
///
/// Each transaction that publishes takes the next *position*, so the positions of committed
/// transactions have no gap. Publications may arrive here in any order, or not at all; they go out
/// by position. A gap that stays open is filled from the database, so a lost publication delays
/// messages and loses none.
///
/// Where several nodes share the database, each emits all publications to its own sockets. Another
/// node's are read after a wake-up, and every second without one.
actor FanOut {
  /// The time for which a gap may stay open before the database is read.
  static let patience: Duration = .milliseconds(20)
  /// The interval at which the database is searched for committed positions that nobody published.
  static let sweepInterval: Duration = .seconds(5)
  /// The interval where other nodes commit, too, and their wake-ups may be lost.
  static let sharedSweepInterval: Duration = .seconds(1)

  private let environment: Environment
  private let database: Database
  private let sockets: SocketIOServer<ChatApplication>
  private let planted: PlantedBugs
  private let serialExecutor: ActorExecutor
  /// Positions that one read fills.
  private let maximumFill: Int64
  private var waiting: [Position: [RoomEvent]] = [:]
  /// The last position that was emitted.
  private var emitted: Position
  private var isEmitting = false
  private var isFilling = false
  private var isCatchingUp = false
  /// Whether other nodes may have committed since the last read for them began.
  private var hasNews = false
  private var isClosed = false
  /// What was emitted lately, for clients that recover.
  private let history: EventHistory
  private var marks = PositionMarks()
  /// The publications up to here are removed.
  private var removed = Position(0)
  /// Called when publications were removed before this node has read them.
  private var onLoss: @Sendable () async -> Void = {}

  nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  /// Emits what is published after `position`.
  init(
    _ environment: Environment, _ database: Database, _ sockets: SocketIOServer<ChatApplication>, position: Position,
    planted: PlantedBugs = PlantedBugs()
  ) {
    self.environment = environment
    self.database = database
    self.sockets = sockets
    self.planted = planted
    emitted = position
    history = EventHistory(environment.clock)
    maximumFill = Int64(environment.limits[.fanOutFill])
    serialExecutor = environment.executor.forActor("fan-out")
  }

  nonisolated func start() {
    environment.executor.spawn("fan-out-sweep") { await self.sweep() }
    guard database.isShared else { return }
    environment.executor.spawn("fan-out-wake-ups") { await self.database.listen { await self.catchUp() } }
  }

  /// Calls `action` whenever publications were removed before this node has read them.
  func afterLoss(_ action: @escaping @Sendable () async -> Void) { onLoss = action }

  /// Goes on after `position`: no socket is there that the earlier publications are for.
  func skip(to position: Position) async {
    guard position > emitted else { return }
    history.end()
    emitted = position
    waiting = waiting.filter { $0.key > position }
    await emitReady()
  }

  func close() { isClosed = true }

  /// Emits the events of the transaction at `position` once all earlier positions are emitted.
  func publish(_ events: [RoomEvent], at position: Position) async {
    if planted(.emitsInArrivalOrder) {
      emitted = max(emitted, position)
      return await sockets.emit(events)
    }
    guard position > emitted else { return }
    waiting[position] = events
    await emitReady()
    if !waiting.isEmpty, !isFilling {
      isFilling = true
      environment.executor.spawn("fan-out-gap") { await self.fillGaps() }
    }
  }

  /// Emits the publications of a transaction once all earlier positions are emitted.
  func publish(_ published: PublishedAt) async {
    await publish(published.publications.map(\.roomEvent), at: published.position)
  }

  /// Emits an event that is stored nowhere, such as `typing`, at once.
  func tell(_ event: RoomEvent) async { await sockets.emit([event]) }

  /// The last position that was emitted.
  var lastEmitted: Position { emitted }

  /// Whether a publication waits for an earlier one.
  var isWaiting: Bool { !waiting.isEmpty }

  /// The metrics of the order in which events are published.
  func metrics() -> [MetricFamily] {
    let last = waiting.keys.sorted().last ?? emitted
    return [
      MetricFamily(
        "parley_chat_positions_published_total", .counter, "Positions of messages and events that were published.",
        Double(emitted.value)),
      MetricFamily(
        "parley_chat_positions_waiting", .gauge, "Positions that wait for an earlier one.",
        Double(last.value - emitted.value)),
    ]
  }

  private func emitReady() async {
    guard !isEmitting else { return }
    isEmitting = true
    defer { isEmitting = false }
    while waiting[emitted.next] != nil {
      var batch: [RoomEvent] = []
      while let events = waiting.removeValue(forKey: emitted.next) {
        emitted = emitted.next
        batch.append(events, at: emitted)
      }
      history.append(batch, through: emitted)
      await sockets.emit(batch)
    }
  }

  // MARK: Gaps

  private func fillGaps() async {
    defer { isFilling = false }
    while !waiting.isEmpty, !isClosed {
      let before = emitted
      do { try await environment.clock.sleep(for: Self.patience) } catch { return }
      guard emitted == before, let first = waiting.keys.sorted().first else { continue }
      let last = min(first.advanced(by: -1), before.advanced(by: maximumFill))
      guard await fill(after: emitted, through: last) != .stopped else { return }
    }
  }

  private enum Filling {
    case done, failed
    /// The node is down.
    case stopped
  }

  /// Reads from the database. Positions do not change once they are committed, so nothing has to
  /// wait for it.
  private func read<R: Sendable>(_ body: @escaping @Sendable (ChatTables) async throws -> R) async throws -> R {
    if database.isShared { return try await database.asideTransaction { try await body(ChatTables($0)) } }
    return try await database.transaction { try await body(ChatTables($0)) }
  }

  private func readStored(
    after position: Position, through last: Position
  ) async throws -> (messages: [StoredMessage], others: [PublishedAt]) {
    try await read { tables in
      (
        try await MessageTransactions(tables: tables).stored(after: position, through: last),
        try await tables.publications.stored(after: position, through: last)
      )
    }
  }

  /// Reads the missing positions after `after` up to `last`, all of which are committed, from the
  /// database.
  private func fill(after: Position, through last: Position) async -> Filling {
    do {
      let (messages, others) = try await readStored(after: after, through: last)
      // A position that was emitted meanwhile would wait for ever.
      for stored in messages where isMissing(stored.message.id.position) {
        waiting[stored.message.id.position] = [ChatPayload.newMessage(stored)]
      }
      for other in others where isMissing(other.position) {
        waiting[other.position] = other.publications.map(\.roomEvent)
      }
      // A position that is in neither table was removed long ago.
      var position = emitted.next
      while position <= last {
        if isMissing(position) { waiting[position] = [] }
        position = position.next
      }
      await emitReady()
      return .done
    } catch is NodeDown {
      return .stopped
    } catch {
      environment.log.warning("fan-out-gap", ["error": .string("\(error)")])
      return .failed
    }
  }

  private func isMissing(_ position: Position) -> Bool { position > emitted && waiting[position] == nil }

  private func sweep() async {
    while !isClosed {
      do {
        try await environment.clock.sleep(for: database.isShared ? Self.sharedSweepInterval : Self.sweepInterval)
        guard !isClosed else { return }
        if database.isShared {
          await catchUp()
          await removeOld()
          continue
        }
        await removeOld()
        let last = try await read { try await $0.publications.lastPosition() }
        // The latest publications may be on their way here.
        try await environment.clock.sleep(for: Self.patience)
        while emitted < last, !isClosed,
          await fill(after: emitted, through: min(last, emitted.advanced(by: maximumFill))) != .stopped
        {
          try await environment.clock.sleep(for: Self.patience)
        }
      } catch is DatabaseError {
        continue
      } catch {
        return
      }
    }
  }

  // MARK: Recovery

  /// Returns the history, and begins it on the first call.
  func beginHistory() -> EventHistory {
    history.begin(after: emitted)
    return history
  }

  /// The stored events at the positions in `(position, last]`, in order, and the times of the first
  /// and the last message among them.
  func stored(
    after position: Position, through last: Position
  ) async throws -> (events: [RoomEvent], oldest: Timestamp?, newest: Timestamp?) {
    let (messages, others) = try await readStored(after: position, through: last)
    var events: [RoomEvent] = []
    for stored in messages { events.append([ChatPayload.newMessage(stored)], at: stored.message.id.position) }
    for other in others { events.append(other.publications.map(\.roomEvent), at: other.position) }
    let times = messages.compactMap { Timestamp(rfc3339: $0.message.timestamp) }
    return (events.sorted { $0.offset! < $1.offset! }, times.first, times.last)
  }

  /// The position of the last message that was removed.
  func lastRemoved() async throws -> Position { try await read { try await $0.removed.lastPosition() } }

  /// Removes publications that nobody can miss: at least `PublicationsTable.kept` positions old,
  /// and emitted at least `EventLog.span` ago.
  private func removeOld() async {
    marks.note(emitted, at: environment.clock.now)
    guard let old = marks.old else { return }
    let last = min(old, emitted.advanced(by: -PublicationsTable.kept))
    while last > removed, !isClosed {
      do {
        let isDone = try await database.transaction {
          try await ChatTables($0).publications.removeSome(through: last)
        }
        if isDone { removed = last }
      } catch {
        return environment.log.info("publications-stay", ["error": .string("\(error)")])
      }
    }
  }

  // MARK: Other nodes

  /// Reads and emits what other nodes have committed.
  func catchUp() async {
    hasNews = true
    guard !isCatchingUp else { return }
    isCatchingUp = true
    defer { isCatchingUp = false }
    while hasNews, !isClosed {
      hasNews = false
      do {
        let last = try await read { try await $0.publications.lastPosition() }
        // Old publications are removed: further behind, some may be missing.
        guard last.value - emitted.value < PublicationsTable.kept / 2 else { return await onLoss() }
        var next = emitted
        while next < last, !isClosed {
          let end = min(last, next.advanced(by: maximumFill))
          // The next sweep tries again.
          guard await fill(after: next, through: end) == .done else { return }
          next = end
        }
      } catch {
        return environment.log.info("fan-out-late", ["error": .string("\(error)")])
      }
    }
  }
}
