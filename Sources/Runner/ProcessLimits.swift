import CLinux
import Glibc

/// The limit of open files and sockets of this process.
enum FileLimit {
  /// Raises the limit to the maximum that the system allows. Each connection needs a file
  /// descriptor, and the default of shells is low.
  static func raise() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < limit.rlim_max else {
      return
    }
    limit.rlim_cur = limit.rlim_max
    // On failure the old limit remains, and further connections are refused.
    _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  }
}

/// The processors that this process may use: those that a container or `taskset` leaves it.
enum Processors {
  /// The number of processors, at least 1.
  static let count: Int = {
    var set = cpu_set_t()
    guard sched_getaffinity(0, MemoryLayout<cpu_set_t>.size, &set) == 0 else { return 1 }
    return withUnsafeBytes(of: &set) { max(1, $0.reduce(0) { $0 + $1.nonzeroBitCount }) }
  }()
}
