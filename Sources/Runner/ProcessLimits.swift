import CLinux
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

/// The processors that this process may run on: all, or those that a container or `taskset` leaves it.
enum Processors {
  /// How many, at least one.
  static let count: Int = {
    var set = cpu_set_t()
    guard sched_getaffinity(0, MemoryLayout<cpu_set_t>.size, &set) == 0 else { return 1 }
    return withUnsafeBytes(of: &set) { max(1, $0.reduce(0) { $0 + $1.nonzeroBitCount }) }
  }()
}
