import Glibc
import Real

/// SIGTERM and SIGINT. The first asks the process to drain, the second ends it.
///
/// A dedicated thread receives them, so that the second one ends the process even while other
/// threads wait for a disk or for a reader of standard output.
final class StopSignals: Sendable {
  private let first: Semaphore = Semaphore()

  /// Starts to receive signals. Call it before other threads start: a thread inherits the set of
  /// blocked signals.
  init() {
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGTERM)
    sigaddset(&signals, SIGINT)
    pthread_sigmask(SIG_BLOCK, &signals, nil)
    startThread(stackBytes: 64 << 10) { [first] in
      var signals = signals
      var signal: Int32 = 0
      sigwait(&signals, &signal)
      first.post(signal)
      // The default action for the second signal is right: it ends the process.
      pthread_sigmask(SIG_UNBLOCK, &signals, nil)
      while true { pause() }
    }
  }

  /// Waits for the first signal, and returns it.
  func wait() -> Int32 { first.wait() }

  private final class Semaphore: @unchecked Sendable {
    private let posted: UnsafeMutablePointer<sem_t> = .allocate(capacity: 1)
    private var signal: Int32 = 0

    init() { sem_init(posted, 0, 0) }

    func post(_ signal: Int32) {
      self.signal = signal
      sem_post(posted)
    }

    func wait() -> Int32 {
      while sem_wait(posted) != 0 {}
      return signal
    }
  }
}
