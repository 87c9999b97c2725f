import Glibc
import Synchronization

/// Handles Ctrl-C and SIGTERM for a long-running command. The first asks it to stop and print a
/// summary; the second ends the process.
enum Interrupt {
  private static let flag = Atomic<Bool>(false)

  /// Whether the command was asked to stop.
  static var isRequested: Bool { flag.load(ordering: .relaxed) }

  /// Installs the handlers.
  static func listen() {
    // The flag must exist before a handler can use it.
    flag.store(false, ordering: .relaxed)
    var action = sigaction()
    action.__sigaction_handler.sa_handler = { _ in Interrupt.flag.store(true, ordering: .relaxed) }
    action.sa_flags = Int32(bitPattern: UInt32(SA_RESETHAND)) | SA_RESTART
    var numbers = sigset_t()
    sigemptyset(&numbers)
    for number in [SIGINT, SIGTERM] {
      sigaction(number, &action, nil)
      sigaddset(&numbers, number)
    }
    // The parent process may have blocked the signals.
    pthread_sigmask(SIG_UNBLOCK, &numbers, nil)
  }

  /// Ignores both signals in a child process. They reach every process of the group, and only the
  /// parent may act on them: a child that ended because of one would be reported as a finding.
  static func leaveToParent() {
    for number in [SIGINT, SIGTERM] { signal(number, SIG_IGN) }
  }
}
