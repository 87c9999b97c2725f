import Environment
import RuntimeHooks

/// The executor of a node in the simulator. See `Life`.
final class SimExecutor: NodeExecutor, @unchecked Sendable {
  private let life: Life
  private let stream: ChoiceStream

  init(life: Life, stream: ChoiceStream) {
    self.life = life
    self.stream = stream
  }

  func forActor(_ name: StaticString) -> ActorExecutor { ActorExecutor(life.executor(name)) }

  func spawn(
    _ name: StaticString, isolation: isolated (any Actor)?,
    @_inheritActorContext(always) _ body: sending @escaping @isolated(any) () async -> Void
  ) -> Task<Void, Never> {
    life.spawn(name, isolation: isolation, body)
  }

  func post(_ work: @escaping @Sendable () -> Void) { life.post(work) }

  func block(_ lane: OffloadLane, _ work: @escaping @Sendable () -> Void) async throws {
    try await life.wait(Self.wait(for: lane)) { begin(lane, work, $0) }
  }

  func block(
    _ lane: OffloadLane, _ work: @escaping @Sendable () -> Void,
    then done: @escaping @Sendable ((any Error)?) -> Void
  ) {
    life.expect(Self.wait(for: lane), done) { begin(lane, work, $0) }
  }

  func runInPlace(_ body: @escaping @Sendable () async -> Void) {
    require(InlineTask.run(body), "code that runs inline has suspended")
  }

  private static func wait(for lane: OffloadLane) -> Wait { Wait(lane == .disk ? "disk" : "computation") }

  /// Runs blocking work in a step of the scheduler, or in several, and resumes the caller after the
  /// time that the disk took for it, or the usual time of a computation.
  private func begin(_ lane: OffloadLane, _ work: @escaping @Sendable () -> Void, _ waiter: Waiter) {
    life.scheduler.enqueue(
      .work(
        Scheduler.Work { [life, stream] in
          guard life.isAlive, waiter.isPending else { return waiter.resume(throwing: NodeDown()) }
          life.scheduler.blockingWork.run(work, of: life) { busy in
            let took = lane == .disk ? busy : stream.duration(.microseconds(100)...(.milliseconds(2)))
            life.scheduler.after(took) { waiter.resume() }
          }
        }), of: life)
  }
}
