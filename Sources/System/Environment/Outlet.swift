/// The outgoing half of a connection of an actor.
///
/// An outlet takes bytes from its source and writes them, until the source has none. It does so in
/// the turn after `flush`, outside any task, so all bytes that the actor queues in one turn are
/// written together. If the peer does not take them at once, a task waits for it.
///
/// An outlet is used on one actor. It is `@unchecked Sendable` because the closures that run in
/// later turns of that actor capture it.
public final class Outlet: @unchecked Sendable {
  /// A change that the owner may have to react to.
  public enum Event: Sendable {
    /// The network has taken the bytes.
    case written
    /// The network does not take more for now; `underWay` says how much it left.
    case stalled
    /// The peer is gone, or took nothing for too long. The connection was reset.
    case failed
  }

  /// Bytes of a write that the network has not taken yet.
  public private(set) var underWay = 0
  /// When bytes were written last.
  public private(set) var lastWrite: Instant
  /// Whether a write is under way or about to begin.
  public private(set) var isWriting = false
  private let name: StaticString
  // Not the whole environment: there is an outlet for each idle connection.
  private let clock: any Clock
  private let executor: any NodeExecutor
  private let connection: any Connection
  private let patience: Duration
  private let idle = Gate()
  private var next: () -> [UInt8] = { [] }
  private var onEvent: (Event) -> Void = { _ in }

  /// Creates an outlet of `connection` without a source. It resets the connection of a peer that
  /// takes nothing for `patience`. The task that waits for a slow peer is called `name`.
  public init(_ name: StaticString, _ environment: Environment, _ connection: any Connection, patience: Duration) {
    self.name = name
    clock = environment.clock
    executor = environment.executor
    self.connection = connection
    self.patience = patience
    lastWrite = environment.clock.now
  }

  /// Sets the source. `next` returns the bytes to write next, empty for none. Both closures are
  /// called on the actor that flushes.
  public func draw(from next: @escaping () -> [UInt8], onEvent: @escaping (Event) -> Void = { _ in }) {
    self.next = next
    self.onEvent = onEvent
  }

  /// Waits until no write is under way. Returns when `deadline` has passed, too.
  public func waitUntilIdle(
    before deadline: Instant, in environment: Environment, isolation: isolated (any Actor)? = #isolation
  ) async {
    while isWriting, await idle.wait(until: deadline, in: environment) {}
  }

  /// Writes in the next turn of `owner`, unless a write is under way already.
  public func flush<Owner: Actor>(on owner: isolated Owner) {
    guard begin() else { return }
    executor.post(to: owner) { self.writeNow(on: $0) }
  }

  /// Claims the next write. False when one is under way; otherwise the caller calls `writeNow` or
  /// `writeAll`.
  public func begin() -> Bool {
    if isWriting { return false }
    isWriting = true
    return true
  }

  /// Writes what the network takes at once. A task writes the rest.
  public func writeNow<Owner: Actor>(on owner: isolated Owner) {
    do {
      while case let batch = next(), !batch.isEmpty {
        lastWrite = clock.now
        let count = try connection.writeNow(batch[...])
        if count < batch.count {
          let rest = Array(batch[count...])
          stall(rest)
          executor.spawn(name) { await self.write(rest, on: owner) }
          return
        }
        onEvent(.written)
      }
    } catch {
      fail()
    }
    end()
  }

  /// Writes everything, and waits until the network has taken it.
  public func writeAll<Owner: Actor>(on owner: isolated Owner) async {
    let batch = next()
    lastWrite = clock.now
    stall(batch)
    await write(batch, on: owner)
  }

  private func write<Owner: Actor>(_ batch: [UInt8], on owner: isolated Owner) async {
    do {
      try await connection.write(batch, deadline: clock.now + patience)
      underWay = 0
      onEvent(.written)
      writeNow(on: owner)
    } catch {
      fail()
      end()
    }
  }

  private func stall(_ batch: [UInt8]) {
    underWay = batch.count
    onEvent(.stalled)
  }

  private func fail() {
    connection.reset()
    onEvent(.failed)
  }

  private func end() {
    isWriting = false
    underWay = 0
    idle.open()
  }
}
