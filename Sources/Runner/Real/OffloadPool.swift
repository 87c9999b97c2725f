import Environment
import Glibc
import Synchronization

/// A few threads for work that blocks. Work is done in the order in which it came.
package final class OffloadPool: @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t> = .allocate(capacity: 1)
  private let condition: UnsafeMutablePointer<pthread_cond_t> = .allocate(capacity: 1)
  private var queue: [Item] = []
  private var next = 0
  /// Whether something was submitted since the last wake-up.
  private let hasNew = Atomic(false)
  /// Threads that sleep and that nobody has woken yet.
  private var sleeping = 0

  /// Work, and the loop that waits for it.
  private final class Item {
    let loop: EventLoop
    let work: () -> Void
    /// Tells of it, on the loop.
    let tell: () -> Void

    init(loop: EventLoop, work: @escaping () -> Void, tell: @escaping () -> Void) {
      self.loop = loop
      self.work = work
      self.tell = tell
    }
  }

  /// What is done is told of together, but no later than after so many nanoseconds.
  private static let longestDelay: Int64 = 100_000

  /// Starts `threads` threads, which run as long as the process.
  package init(threads: Int) {
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(condition, nil)
    for _ in 0..<threads { startThread(stackBytes: 1 << 20) { [self] in work() } }
  }

  /// Wakes threads for what was submitted. A loop calls this once a turn and not once a submission: on a busy core each
  /// wake-up costs two switches, which all of a turn's work can share. A thread that is awake needs none.
  func wake() {
    guard hasNew.exchange(false, ordering: .acquiring) else { return }
    pthread_mutex_lock(mutex)
    let woken = min(sleeping, queue.count - next)
    sleeping -= woken
    pthread_mutex_unlock(mutex)
    for _ in 0..<woken { pthread_cond_signal(condition) }
  }

  /// Adds work, which is begun after the next `wake`; `tell` is called on `loop` when it is done.
  func submit(for loop: EventLoop, _ work: @escaping () -> Void, then tell: @escaping () -> Void) {
    pthread_mutex_lock(mutex)
    queue.append(Item(loop: loop, work: work, tell: tell))
    pthread_mutex_unlock(mutex)
    hasNew.store(true, ordering: .releasing)
  }

  /// Quick work is told of in batches: each time that a loop is woken on a busy core, it takes the core from the very
  /// thread that has more for it.
  private func work() -> Never {
    var done: [Item] = []
    var first: Int64 = 0
    while true {
      let item = take(isIdle: done.isEmpty)
      if let item {
        if done.isEmpty { first = EventLoop.nanoseconds }
        item.work()
        done.append(item)
        if EventLoop.nanoseconds - first < Self.longestDelay { continue }
      }
      tell(done)
      done = []
    }
  }

  /// The next work. Waits for some when `isIdle`; otherwise nil when there is none.
  private func take(isIdle: Bool) -> Item? {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while next == queue.count {
      if !isIdle { return nil }
      sleeping += 1
      pthread_cond_wait(condition, mutex)
    }
    let item = queue[next]
    next += 1
    if next == queue.count || next > 1024 {
      queue.removeFirst(next)
      next = 0
    }
    return item
  }

  private func tell(_ done: [Item]) {
    var rest = done[...]
    while let loop = rest.first?.loop {
      let batch = rest.prefix { $0.loop === loop }
      rest = rest.dropFirst(batch.count)
      // What the loop made it also gives back: to the allocator of its own thread.
      loop.enqueue(.work { for item in batch { item.tell() } })
    }
  }
}

/// Starts a thread that nobody waits for.
package func startThread(stackBytes: Int, _ body: @escaping () -> Void) {
  final class Box {
    let body: () -> Void
    init(_ body: @escaping () -> Void) { self.body = body }
  }
  var attributes = pthread_attr_t()
  pthread_attr_init(&attributes)
  pthread_attr_setstacksize(&attributes, stackBytes)
  pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
  var thread = pthread_t()
  let status = pthread_create(
    &thread, &attributes,
    { argument in
      Unmanaged<Box>.fromOpaque(argument!).takeRetainedValue().body()
      return nil
    }, Unmanaged.passRetained(Box(body)).toOpaque())
  pthread_attr_destroy(&attributes)
  require(status == 0, "cannot start a thread: errno \(status)")
}
