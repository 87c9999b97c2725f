import Glibc
import Synchronization

/// Handles Ctrl-C and SIGTERM for a long-running command: the first asks it to stop and sum up, the second ends it at
/// once.
enum Interrupt {
  private static let flag = Atomic<Bool>(false)

  /// Whether the command is asked to end.
  static var isRequested: Bool { flag.load(ordering: .relaxed) }

  /// Listens from now on.
  static func listen() {
    // The flag has to be there before a handler may need it.
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
    // Whoever started this process may have left them blocked.
    pthread_sigmask(SIG_UNBLOCK, &numbers, nil)
  }

  /// Ignores both signals in a child process. They reach every process of the group, and only the parent may act on
  /// them: a child that ended because of one would be reported as a finding.
  static func leaveToParent() {
    for number in [SIGINT, SIGTERM] { signal(number, SIG_IGN) }
  }
}
