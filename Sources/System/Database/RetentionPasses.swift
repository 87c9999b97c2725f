import Environment

/// Removes what a rule does not keep, in passes of a bounded size.
actor RetentionPasses {
  /// What a pass has done.
  struct Pass: Sendable {
    /// The things that it removed.
    let removed: Int
    /// Whether there may be more to do.
    let mayHaveMore: Bool
  }

  private let environment: Environment
  private let name: StaticString
  private let interval: Duration
  private let pass: @Sendable () async throws -> Pass
  private let serialExecutor: ActorExecutor
  /// The things that were removed in this life.
  private(set) var removed = 0
  private var isClosed = false

  nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  /// Makes passes that have `name` in the log. Nil if the rule keeps all.
  init?(
    _ environment: Environment, _ name: StaticString, _ rule: Retention,
    _ pass: @escaping @Sendable () async throws -> Pass
  ) {
    guard let interval = rule.interval else { return nil }
    self.environment = environment
    self.name = name
    self.interval = interval
    self.pass = pass
    serialExecutor = environment.executor.forActor(name)
  }

  nonisolated func start() { environment.executor.spawn(name) { await self.run() } }

  func close() { isClosed = true }

  private func run() async {
    while !isClosed {
      do {
        try await environment.clock.sleep(for: interval)
        var mayHaveMore = true
        while mayHaveMore, !isClosed {
          let done = try await pass()
          removed += done.removed
          mayHaveMore = done.mayHaveMore
        }
      } catch is NodeDown {
        return
      } catch DatabaseError.closed {
        return
      } catch {
        // The next pass removes what this one has left.
        environment.log.debug("\(name)", ["error": .string("\(error)".shortened(toBytes: 256))])
      }
    }
  }
}
