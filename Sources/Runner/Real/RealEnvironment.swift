import Environment
import RuntimeHooks
import CLinux
import Glibc
import Synchronization

/// A node with an event loop on its own thread, two pools for blocking work, and files in one
/// directory.
///
///     let node = try RealNode("reservations", directory: "data")
///     let service = try node.run { try await ReservationService.start($0, on: address) }
public final class RealNode: Sendable {
  /// The environment of the node's code.
  public let environment: Environment
  package let loop: EventLoop

  /// Creates a node with its own pools, and with its files in `directory`, which is created if it
  /// does not exist. Starts its thread, which runs until the process ends.
  /// - Throws: `StorageError` if the directory cannot be created or opened.
  public convenience init(
    _ name: String, directory: String, log: LogWriter = LogWriter(), level: Log.Level = .info
  ) throws(StorageError) {
    self.init(
      name, storage: try RealStorage(path: directory), disk: OffloadPool(threads: 1), compute: OffloadPool(threads: 1),
      log: log, level: level)
  }

  /// Creates a node and starts its thread. `network` makes the network of the node's code from its
  /// environment.
  package init(
    _ name: String, storage: any Storage, disk: OffloadPool, compute: OffloadPool, log: LogWriter, level: Log.Level,
    memory: ClientMemory = ClientMemory(), network: (Environment) -> any Network = { $0.network }
  ) {
    let loop = EventLoop()
    self.loop = loop
    loop.onTurn = {
      disk.wake()
      compute.wake()
    }
    let bare = Environment(
      node: name, clock: RealClock(loop), network: RealNetwork(loop, resolver: compute), storage: storage,
      entropy: RealEntropy(), executor: RealExecutor(loop, disk: disk, compute: compute),
      log: Log(node: name, threshold: level) { log.write($0) }, memory: memory)
    environment = bare.with(network: network(bare))
    startThread(stackBytes: 4 << 20) { loop.run() }
  }

  /// Creates a node for a client that stores nothing. Its directory is removed at once.
  package static func visitor(
    _ name: String, level: Log.Level, network: (Environment) -> any Network = { $0.network }
  ) throws(StorageError) -> RealNode {
    let folder = "/tmp/parley-\(name)-\(getpid())"
    let storage = try RealStorage(path: folder)
    defer { rmdir(folder) }
    return RealNode(
      name, storage: storage, disk: OffloadPool(threads: 1), compute: OffloadPool(threads: 1),
      log: LogWriter(), level: level, network: network)
  }

  /// Runs `body` on the node's loop and waits for its result. Must not be called on the node's own
  /// thread.
  /// - Throws: what `body` throws.
  public func run<R: Sendable>(_ body: @escaping @Sendable (Environment) async throws -> R) throws -> R {
    let box = ResultBox<R>()
    environment.executor.spawn("run") { [environment] in
      do { box.set(.success(try await body(environment))) } catch { box.set(.failure(error)) }
    }
    return try box.wait().get()
  }

  /// Unchecked, since the semaphore orders `set` before the read in `wait`.
  private final class ResultBox<R>: @unchecked Sendable {
    private var result: Result<R, any Error>?
    private let done: UnsafeMutablePointer<sem_t> = .allocate(capacity: 1)

    init() { sem_init(done, 0, 0) }
    deinit { done.deallocate() }

    func set(_ result: Result<R, any Error>) {
      self.result = result
      sem_post(done)
    }

    func wait() -> Result<R, any Error> {
      while sem_wait(done) != 0 {}
      return result!
    }
  }
}

/// The wall clock, for code outside nodes.
package enum WallClock {
  /// The time now.
  package static var now: Timestamp { RealClock.wallTime }
}

/// The machine's clocks.
final class RealClock: Clock, Sendable {
  private let loop: EventLoop

  init(_ loop: EventLoop) { self.loop = loop }

  var now: Instant { Instant(nanoseconds: EventLoop.nanoseconds) }

  var wallTime: Timestamp { Self.wallTime }

  static var wallTime: Timestamp {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Timestamp(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
  }

  func sleep(until deadline: Instant) async throws {
    let suspension = Suspension(on: loop)
    loop.at(deadline.nanoseconds) { suspension.finish(.success(())) }
    try await suspension.wait()
  }
}

/// The kernel's random bytes.
package struct RealEntropy: Entropy {
  package init() {}

  package func fill(_ buffer: UnsafeMutableRawBufferPointer) {
    if buffer.isEmpty { return }
    guard buffer.count <= Self.reserve.size / 8 else { return Self.read(into: buffer) }
    Self.reserve.take(buffer)
  }

  private static let reserve = Reserve()

  fileprivate static func read(into buffer: UnsafeMutableRawBufferPointer) {
    var done = 0
    while done < buffer.count {
      let count = getrandom(buffer.baseAddress! + done, buffer.count - done, 0)
      require(count > 0 || errno == EINTR, "no random bytes: errno \(errno)")
      done += max(0, count)
    }
  }

  /// Random bytes that were read in advance, since a system call costs as much as the bytes of a
  /// key. Bytes that were handed out are overwritten with zeros.
  private final class Reserve: Sendable {
    let size = 1024
    private let left = Mutex<[UInt8]>([])

    func take(_ buffer: UnsafeMutableRawBufferPointer) {
      left.withLock { left in
        if left.count < buffer.count {
          left = [UInt8](repeating: 0, count: size)
          left.withUnsafeMutableBytes { RealEntropy.read(into: $0) }
        }
        let start = left.count - buffer.count
        left.withUnsafeMutableBytes { left in
          let given = UnsafeMutableRawBufferPointer(rebasing: left[start...])
          buffer.copyMemory(from: UnsafeRawBufferPointer(given))
          explicit_bzero(given.baseAddress!, given.count)
        }
        left.removeLast(buffer.count)
      }
    }
  }
}

/// The executor of a node: its loop and its pools.
final class RealExecutor: NodeExecutor, Sendable {
  private let loop: EventLoop
  private let disk: OffloadPool
  private let compute: OffloadPool

  init(_ loop: EventLoop, disk: OffloadPool, compute: OffloadPool) {
    self.loop = loop
    self.disk = disk
    self.compute = compute
  }

  func forActor(_ name: StaticString) -> ActorExecutor { ActorExecutor(loop) }

  func spawn(
    _ name: StaticString, isolation: isolated (any Actor)?,
    @_inheritActorContext(always) _ body: sending @escaping @isolated(any) () async -> Void
  ) -> Task<Void, Never> {
    let previous = loop.globalJobs.makeCurrent()
    defer { GlobalJobs.setCurrent(previous) }
    // A detached task is not a part of the request that starts it.
    return Task.detached { await body() }
  }

  func post(_ work: @escaping @Sendable () -> Void) { loop.post(work) }

  // Inlined into its protocol witness, since each further async function costs two switches.
  @inline(__always)
  func block(_ lane: OffloadLane, _ work: @escaping @Sendable () -> Void) async throws {
    try await withUnsafeThrowingContinuation { (continuation: UnsafeContinuation<Void, any Error>) in
      pool(lane).submit(for: loop, work, then: { continuation.resume() })
    }
  }

  func block(
    _ lane: OffloadLane, _ work: @escaping @Sendable () -> Void,
    then done: @escaping @Sendable ((any Error)?) -> Void
  ) {
    pool(lane).submit(for: loop, work, then: { done(nil) })
  }

  func runInPlace(_ body: @escaping @Sendable () async -> Void) {
    require(InlineTask.run(body), "code that runs inline has suspended")
  }

  private func pool(_ lane: OffloadLane) -> OffloadPool { lane == .disk ? disk : compute }
}
