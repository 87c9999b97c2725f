import Environment
import Glibc
import Synchronization

/// A few threads for blocking work. They start work in the order in which it was submitted.
/// Unchecked, since `mutex` guards the mutable state.
package final class OffloadPool: @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t> = .allocate(capacity: 1)
  private let condition: UnsafeMutablePointer<pthread_cond_t> = .allocate(capacity: 1)
  private var queue: [Item] = []
  private var next = 0
  /// Whether work was submitted since the last wake-up.
  private let hasNew = Atomic(false)
  /// The number of threads that wait and have not been signalled yet.
  private var sleeping = 0

  /// Submitted work, and the loop that waits for it.
  private final class Item {
    let loop: EventLoop
    let work: () -> Void
    /// Runs on the loop when the work is done.
    let completion: () -> Void

    init(loop: EventLoop, work: @escaping () -> Void, completion: @escaping () -> Void) {
      self.loop = loop
      self.work = work
      self.completion = completion
    }
  }

  /// The maximum delay for batching completions, in nanoseconds.
  private static let longestDelay: Int64 = 100_000

  /// Starts `threads` threads, which run as long as the process.
  package init(threads: Int) {
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(condition, nil)
    for _ in 0..<threads { startThread(stackBytes: 1 << 20) { [self] in work() } }
  }

  /// Wakes threads for the submitted work. A loop calls this once a turn, so that all work of the
  /// turn shares one wake-up, which costs two context switches on a busy core.
  func wake() {
    guard hasNew.exchange(false, ordering: .acquiring) else { return }
    pthread_mutex_lock(mutex)
    let woken = min(sleeping, queue.count - next)
    sleeping -= woken
    pthread_mutex_unlock(mutex)
    for _ in 0..<woken { pthread_cond_signal(condition) }
  }

  /// Adds work, which starts after the next `wake`, and runs `completion` on `loop` when it is
  /// done.
  func submit(for loop: EventLoop, _ work: @escaping () -> Void, then completion: @escaping () -> Void) {
    pthread_mutex_lock(mutex)
    queue.append(Item(loop: loop, work: work, completion: completion))
    pthread_mutex_unlock(mutex)
    hasNew.store(true, ordering: .releasing)
  }

  /// Runs work and reports completions in batches: on a busy core a loop that is woken for one
  /// completion preempts the thread that is about to produce the next.
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
      complete(done)
      done = []
    }
  }

  /// Removes and returns the next work. An idle thread waits for it. For a thread that is not idle,
  /// returns nil if there is none.
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

  private func complete(_ done: [Item]) {
    var rest = done[...]
    while let loop = rest.first?.loop {
      let batch = rest.prefix { $0.loop === loop }
      rest = rest.dropFirst(batch.count)
      // The loop allocated the items, so its thread should free them.
      loop.enqueue(.work { for item in batch { item.completion() } })
    }
  }
}

/// Starts a detached thread with a stack of `stackBytes`.
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
