import Environment

/// Tells sockets what was committed, in the order in which it was committed.
///
/// Every transaction that has something to tell takes the next *position* after the last that is stored, so that the positions of what
/// was committed have no gap. Publications may arrive here in any order, or not at all; they go out in the order of their
/// positions. A gap that does not close by itself is filled from the store: so a lost publication can delay a message and never
/// lose it.
actor FanOut {
  /// How long a gap may stand before the store is read.
  static let patience: Duration = .milliseconds(20)
  /// How often somebody looks whether anything was committed that nobody published.
  static let sweep: Duration = .seconds(5)
  /// Messages that are read in one go to fill a gap.
  static let maximumFill: Int64 = 1000

  private let environment: Environment
  private let database: Database
  private let sockets: SocketIOServer<ChatApplication>
  private let serialExecutor: ActorExecutor
  private let makeEvent: @Sendable (StoredMessage) -> RoomEvent
  private let planted: PlantedBugs
  private var waiting: [Int64: [RoomEvent]] = [:]
  /// The last position that went out.
  private var emitted: Int64
  private var isEmitting = false
  private var isFilling = false
  private var isClosed = false

  nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  init(
    _ environment: Environment, _ database: Database, _ sockets: SocketIOServer<ChatApplication>, position: Int64,
    planted: PlantedBugs = PlantedBugs(), makeEvent: @escaping @Sendable (StoredMessage) -> RoomEvent
  ) {
    self.environment = environment
    self.database = database
    self.sockets = sockets
    self.planted = planted
    self.makeEvent = makeEvent
    emitted = position
    serialExecutor = environment.executor.forActor("fan-out")
  }

  nonisolated func start() { environment.executor.spawn("fan-out-sweep") { await self.sweepAll() } }

  func close() { isClosed = true }

  /// Publishes what was committed at `position`.
  func publish(_ events: [RoomEvent], at position: Int64) async {
    if planted(.emitsInArrivalOrder) {
      emitted = max(emitted, position)
      return await sockets.emit(events)
    }
    guard position > emitted else { return }
    waiting[position] = events
    await emitAll()
    if !waiting.isEmpty, !isFilling {
      isFilling = true
      environment.executor.spawn("fan-out-gap") { await self.fillGaps() }
    }
  }

  /// Whether something waits for what comes before it.
  var isWaiting: Bool { !waiting.isEmpty }

  /// Publishes what a transaction stored.
  func publish(_ published: PublishedAt) async {
    await publish(published.publications.map(\.roomEvent), at: published.position)
  }

  /// What is told once and kept nowhere: that somebody types.
  func tell(_ event: RoomEvent) async { await sockets.emit([event]) }

  private func emitAll() async {
    guard !isEmitting else { return }
    isEmitting = true
    defer { isEmitting = false }
    while waiting[emitted + 1] != nil {
      var batch: [RoomEvent] = []
      while let events = waiting.removeValue(forKey: emitted + 1) {
        batch += events
        emitted += 1
      }
      await sockets.emit(batch)
    }
  }

  private func fillGaps() async {
    defer { isFilling = false }
    while !waiting.isEmpty, !isClosed {
      let before = emitted
      do { try await environment.clock.sleep(for: Self.patience) } catch { return }
      guard emitted == before, let last = waiting.keys.sorted().first else { continue }
      guard await fill(through: min(last - 1, before + Self.maximumFill)) else { return }
    }
  }

  /// Takes from the store what is missing up to a position. False when the node is down.
  private func fill(through last: Int64) async -> Bool {
    let after = emitted
    do {
      let (messages, others) = try await database.transaction {
        (try $0.messages(after: after, through: last), try $0.publications(after: after, through: last))
      }
      // What went out meanwhile would wait here for ever.
      for stored in messages where stored.message.id > emitted && waiting[stored.message.id] == nil {
        waiting[stored.message.id] = [makeEvent(stored)]
      }
      for other in others where other.position > emitted && waiting[other.position] == nil {
        waiting[other.position] = other.publications.map(\.roomEvent)
      }
      // What is in neither was pruned long ago.
      if last > emitted {
        for position in (emitted + 1)...last where waiting[position] == nil { waiting[position] = [] }
      }
      await emitAll()
      return true
    } catch is NodeDown {
      return false
    } catch {
      environment.log.warning("fan-out-gap", ["error": .string("\(error)")])
      return true
    }
  }

  private func sweepAll() async {
    while !isClosed {
      do {
        try await environment.clock.sleep(for: Self.sweep)
        guard !isClosed else { return }
        let last = try await database.transaction { try $0.lastPosition() }
        // What was committed just now may be on its way here.
        try await environment.clock.sleep(for: Self.patience)
        while emitted < last, !isClosed, await fill(through: min(last, emitted + Self.maximumFill)) {
          try await environment.clock.sleep(for: Self.patience)
        }
      } catch is DatabaseError {
        continue
      } catch {
        return
      }
    }
  }
}
