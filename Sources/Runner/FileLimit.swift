import Glibc

/// How many files and sockets this process may have.
enum FileLimit {
  /// Takes as many as the system lets this process take: each connection is one, and shells set a low limit by habit.
  static func raise() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < limit.rlim_max else {
      return
    }
    limit.rlim_cur = limit.rlim_max
    // Without it the old limit stands, and connections beyond it are refused as they are today.
    _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }
}
