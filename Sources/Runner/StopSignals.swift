import Glibc
import Real

/// SIGTERM and SIGINT. The first asks the process to stop in order, the second ends it.
///
/// A thread of its own takes them, so that whatever else waits, for a disk or for a reader of standard output, the second
/// one always ends the process.
final class StopSignals: Sendable {
  private let first: Semaphore = Semaphore()

  /// Takes signals from now on. Made before any other thread, since a thread inherits which signals are blocked.
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
      // What the system does by itself with the second is right: it ends the process.
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
