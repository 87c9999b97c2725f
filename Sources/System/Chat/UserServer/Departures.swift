import Environment

/// Tells the User Manager which users are no longer available.
///
/// A departure is stored in the transaction that removes the user's last socket. Departures are
/// told in order, and each is removed only after the User Manager has accepted it: a departure may
/// be told twice, but is never lost.
actor Departures {
  private static let retryInterval: Duration = .milliseconds(250)

  private let environment: Environment
  private let database: Database
  private let userManager: any UserServerBackend
  private let planted: PlantedBugs
  private let serialExecutor: ActorExecutor
  /// Whether `tell` was called since the stored departures were last read.
  private var hasNew = false
  private var isTelling = false

  nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  init(_ environment: Environment, _ database: Database, _ userManager: any UserServerBackend, planted: PlantedBugs) {
    self.environment = environment
    self.database = database
    self.userManager = userManager
    self.planted = planted
    serialExecutor = environment.executor.forActor("departures")
  }

  /// Starts to tell the stored departures, and returns at once.
  func tell() {
    hasNew = true
    guard !isTelling else { return }
    isTelling = true
    environment.executor.spawn("departures") { await self.tellAll() }
  }

  private func tellAll() async {
    defer { isTelling = false }
    let limit = environment.limits[.departures]
    while true {
      hasNew = false
      do {
        let departures = try await database.transaction { try await ChatTables($0).departures.oldest(limit: limit) }
        // A departure that was stored after the read has set `hasNew`, and started no other task.
        if departures.isEmpty, !hasNew { return }
        for departure in departures {
          do {
            try await userManager.userIsGone(departure.user, connection: departure.connection)
          } catch {
            guard planted(.forgetsDepartures) else { throw error }
          }
          try await database.transaction { try await ChatTables($0).departures.remove(departure) }
        }
      } catch is NodeDown {
        return
      } catch DatabaseError.closed {
        return
      } catch {
        environment.log.info("departure-waits", ["error": .string("\(error)")])
        do { try await environment.clock.sleep(for: Self.retryInterval) } catch { return }
      }
    }
  }
}
