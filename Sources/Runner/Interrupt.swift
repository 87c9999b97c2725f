import Glibc
import Synchronization

/// Ctrl-C and SIGTERM for a command that works for long: the first one asks it to come to its end and sum up, the second
/// ends it at once.
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

  /// Leaves both to the parent process: they reach all processes of a group, and a child that ends of them is no finding.
  static func leaveToParent() {
    for number in [SIGINT, SIGTERM] { signal(number, SIG_IGN) }
  }
}
