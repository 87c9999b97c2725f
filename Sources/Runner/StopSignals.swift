import Glibc
import Real

/// SIGTERM and SIGINT, of which the first asks the process to drain and the second ends it, and
/// SIGHUP, which asks it to read its certificates again.
///
/// A dedicated thread receives them, so that the second one ends the process even while other
/// threads wait for a disk or for a reader of standard output.
final class StopSignals: Sendable {
  private let first: Semaphore = Semaphore()
  private let reload: Semaphore = Semaphore()

  /// Starts to receive signals. Call it before other threads start: a thread inherits the set of
  /// blocked signals.
  init() {
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGTERM)
    sigaddset(&signals, SIGINT)
    sigaddset(&signals, SIGHUP)
    pthread_sigmask(SIG_BLOCK, &signals, nil)
    startThread(stackBytes: 64 << 10) { [first, reload] in
      var signals = signals
      var signal: Int32 = 0
      while true {
        sigwait(&signals, &signal)
        if signal != SIGHUP { break }
        reload.post(signal)
      }
      first.post(signal)
      // The default action for the second signal is right: it ends the process.
      sigdelset(&signals, SIGHUP)
      pthread_sigmask(SIG_UNBLOCK, &signals, nil)
      while true { pause() }
    }
  }

  /// Waits for the first signal, and returns it.
  func wait() -> Int32 { first.wait() }

  /// Waits for SIGHUP. Returns false if none comes in `seconds`.
  func waitForReload(seconds: Int32) -> Bool { reload.wait(seconds: seconds) }

  private final class Semaphore: @unchecked Sendable {
    private let posted: UnsafeMutablePointer<sem_t> = .allocate(capacity: 1)
    private var signal: Int32 = 0

    init() { sem_init(posted, 0, 0) }

    func post(_ signal: Int32) {
      self.signal = signal
      sem_post(posted)
    }

    func wait(seconds: Int32) -> Bool {
      var limit = timespec()
      clock_gettime(CLOCK_REALTIME, &limit)
      limit.tv_sec += Int(seconds)
      while sem_timedwait(posted, &limit) != 0 {
        if errno != EINTR { return false }
      }
      return true
    }

    func wait() -> Int32 {
      while sem_wait(posted) != 0 {}
      return signal
    }
  }
}
