import CLinux
import Environment
import Glibc
import Real

/// The service manager that has started this process, such as systemd: it hears when the services
/// are ready, stop, and still answer (sd_notify(3)). Without one, nothing is sent.
struct ServiceManager: Sendable {
  private let socket: String?
  /// Nanoseconds within which the manager wants to hear that the process is well; nil if it does
  /// not.
  private let watchdog: UInt64?
  private let log: Log

  init(_ environment: [(name: String, value: String)], _ log: Log) {
    func value(_ name: String) -> String? { environment.first { $0.name == name }?.value }
    self.log = log
    socket = value("NOTIFY_SOCKET")
    // The variables may be meant for a process that has started this one.
    let isMeant = value("WATCHDOG_PID").map { Int32($0) == getpid() } ?? true
    watchdog = isMeant ? value("WATCHDOG_USEC").flatMap { UInt64($0) }.map { $0 &* 1000 } : nil
  }

  /// Sends a state, such as `READY=1`.
  func tell(_ state: String) {
    guard let socket else { return }
    if parley_notify(socket, state) != 0 {
      log.warning(
        "service-manager-not-told", ["state": .string(state), "error": .string(String(cString: strerror(errno)))])
    }
  }

  /// Tells the manager twice in each of its intervals that the process is well. `check` waits until
  /// every event loop has run a task: if one hangs, the manager hears no more, and restarts the
  /// process.
  func watch(_ check: @escaping @Sendable () -> Void) {
    guard let watchdog, socket != nil else { return }
    startThread(stackBytes: 256 << 10) { [self] in
      while true {
        check()
        tell("WATCHDOG=1")
        var pause = timespec(tv_sec: Int(watchdog / 2 / 1_000_000_000), tv_nsec: Int(watchdog / 2 % 1_000_000_000))
        // A signal may shorten a pause, which does no harm.
        nanosleep(&pause, nil)
      }
    }
  }
}
