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
    for number in [SIGINT, SIGTERM] { sigaction(number, &action, nil) }
  }

  /// Leaves a Ctrl-C, which reaches all processes of a terminal, to the parent process.
  static func leaveToParent() { signal(SIGINT, SIG_IGN) }
}
