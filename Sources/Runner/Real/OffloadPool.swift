import Glibc
import Synchronization
import System

/// A few threads for work that blocks. Work is done in the order in which it came.
final class OffloadPool: @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t> = .allocate(capacity: 1)
  private let condition: UnsafeMutablePointer<pthread_cond_t> = .allocate(capacity: 1)
  private var queue: [() -> Void] = []
  private var next = 0
  /// Threads that sleep and that nobody has woken yet.
  private var sleeping = 0

  /// Starts `threads` threads, which run as long as the process.
  init(threads: Int) {
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(condition, nil)
    for _ in 0..<threads { startThread(stackBytes: 1 << 20) { [self] in work() } }
  }

  func submit(_ work: @escaping () -> Void) {
    pthread_mutex_lock(mutex)
    queue.append(work)
    let wakes = sleeping > 0
    if wakes { sleeping -= 1 }
    pthread_mutex_unlock(mutex)
    // A thread that is awake takes what is there: most work needs no wake-up.
    if wakes { pthread_cond_signal(condition) }
  }

  private func work() -> Never {
    while true {
      pthread_mutex_lock(mutex)
      while next == queue.count {
        sleeping += 1
        pthread_cond_wait(condition, mutex)
      }
      let work = queue[next]
      next += 1
      if next == queue.count || next > 1024 {
        queue.removeFirst(next)
        next = 0
      }
      pthread_mutex_unlock(mutex)
      work()
    }
  }
}

/// Starts a thread that nobody waits for.
func startThread(stackBytes: Int, _ body: @escaping () -> Void) {
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
