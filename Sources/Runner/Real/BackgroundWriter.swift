import Glibc

/// Writes lines to a file descriptor from its own thread, so that callers never wait for a reader.
///
/// A pipe has a buffer of 64 KiB. When it is full, a write blocks, which would stop an event loop
/// or delay the handling of signals. Lines that do not fit into the writer's buffer are dropped and
/// counted. Unchecked, since `mutex` guards the mutable state.
package final class BackgroundWriter: @unchecked Sendable {
  private let descriptor: Int32
  private let capacity: Int
  private let pauseNanoseconds: Int
  /// Returns the bytes to write in place of a number of dropped lines.
  private let notice: @Sendable (Int) -> [UInt8]
  private let mutex: UnsafeMutablePointer<pthread_mutex_t> = .allocate(capacity: 1)
  private let hasMore: UnsafeMutablePointer<pthread_cond_t> = .allocate(capacity: 1)
  private let isDone: UnsafeMutablePointer<pthread_cond_t> = .allocate(capacity: 1)
  // Guarded by `mutex`.
  private var waiting: [UInt8] = []
  private var dropped = 0
  private var isIdle = false

  /// Creates a writer to `descriptor` that buffers at most `capacity` bytes, and starts its thread.
  /// The thread pauses between two writes, so that it wakes up once for many lines.
  package init(
    descriptor: Int32, capacity: Int = 1 << 20, pauseNanoseconds: Int = 0,
    notice: @escaping @Sendable (Int) -> [UInt8] = { _ in [] }
  ) {
    self.descriptor = descriptor
    self.capacity = capacity
    self.pauseNanoseconds = pauseNanoseconds
    self.notice = notice
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(hasMore, nil)
    pthread_cond_init(isDone, nil)
    startThread(stackBytes: 256 << 10) { [self] in work() }
  }

  /// Adds the line that `write` appends, or drops it if the buffer is full. Never waits for the
  /// descriptor.
  package func add(_ write: (inout [UInt8]) -> Void) {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    let before = waiting.count
    // After a dropped line, later lines are dropped until the thread has counted them, which keeps
    // the notice in order.
    if dropped == 0 { write(&waiting) }
    if dropped > 0 || waiting.count > capacity {
      waiting.removeLast(waiting.count - before)
      dropped += 1
    }
    if isIdle {
      isIdle = false
      pthread_cond_signal(hasMore)
    }
  }

  /// Waits until all lines are written, for at most `seconds`.
  package func finish(withinSeconds seconds: Int) {
    var limit = timespec()
    clock_gettime(CLOCK_REALTIME, &limit)
    limit.tv_sec += seconds
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while !isIdle { if pthread_cond_timedwait(isDone, mutex, &limit) != 0 { return } }
  }

  // MARK: Thread

  private func work() -> Never {
    // Lines that were not written, and that no notice has reported.
    var missing = 0
    var isInsideLine = false
    while true {
      let (bytes, dropped) = take()
      missing += dropped
      let failure = write(isInsideLine ? [10] + bytes : bytes)
      if let failure {
        missing += failure.lines
        isInsideLine = failure.isInsideLine
      } else {
        isInsideLine = false
        if missing > 0, write(notice(missing)) == nil { missing = 0 }
      }
      var pause = timespec(tv_sec: 0, tv_nsec: pauseNanoseconds)
      if pauseNanoseconds > 0 { nanosleep(&pause, nil) }
    }
  }

  private func take() -> (bytes: [UInt8], dropped: Int) {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    while waiting.isEmpty, dropped == 0 {
      isIdle = true
      pthread_cond_broadcast(isDone)
      pthread_cond_wait(hasMore, mutex)
    }
    defer {
      waiting = []
      dropped = 0
    }
    return (waiting, dropped)
  }

  /// Writes all of `bytes`, and waits for a reader. After an error it returns the number of
  /// unwritten lines, and whether the first of them was written in part.
  private func write(_ bytes: [UInt8]) -> (lines: Int, isInsideLine: Bool)? {
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + done, $0.count - done) }
      if count >= 0 {
        done += count
        continue
      }
      switch errno {
      case EINTR: continue
      case EAGAIN:
        // Another process that shares the descriptor has made it non-blocking.
        var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        poll(&wait, 1, -1)
      default: return (bytes[done...].count { $0 == 10 }, done > 0 && bytes[done - 1] != 10)
      }
    }
    return nil
  }
}
