import Glibc
import System

/// The metrics of this process, under the names that Prometheus's client libraries use.
enum ProcessMetrics {
  /// Reads them from /proc (proc(5)). Without those that cannot be read.
  static func read() -> [MetricFamily] {
    var families: [MetricFamily] = []
    let stat = text("/proc/self/stat")
    // The name of the program is in parentheses and may contain spaces. Field 3 comes after it.
    let fields = stat.lastIndex(of: ")").map { stat[$0...].split(separator: " ").dropFirst().map(String.init) } ?? []
    func number(_ field: Int) -> Double? { field - 3 < fields.count ? Double(fields[field - 3]) : nil }
    let ticks = Double(sysconf(Int32(_SC_CLK_TCK)))
    if let user = number(14), let system = number(15) {
      families.append(
        MetricFamily("process_cpu_seconds_total", .counter, "Processor time.", (user + system) / ticks))
    }
    if let pages = number(24) {
      families.append(
        MetricFamily(
          "process_resident_memory_bytes", .gauge, "Resident memory.", pages * Double(sysconf(Int32(_SC_PAGESIZE)))))
    }
    if let start = number(22), let boot = bootTime() {
      families.append(
        MetricFamily("process_start_time_seconds", .gauge, "Start, since 1970.", boot + start / ticks))
    }
    if let open = openFiles() {
      families.append(MetricFamily("process_open_fds", .gauge, "Open file descriptors.", Double(open)))
    }
    var limit = rlimit()
    if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
      families.append(
        MetricFamily("process_max_fds", .gauge, "The limit of open file descriptors.", Double(limit.rlim_cur)))
    }
    return families
  }

  private static func text(_ path: String) -> String { String(decoding: readFile(path) ?? [], as: UTF8.self) }

  /// The time at which the machine started, in seconds since 1970.
  private static func bootTime() -> Double? {
    text("/proc/stat").split(separator: "\n").first { $0.hasPrefix("btime ") }.flatMap { Double($0.dropFirst(6)) }
  }

  private static func openFiles() -> Int? {
    guard let folder = opendir("/proc/self/fd") else { return nil }
    defer { closedir(folder) }
    var count = 0
    while readdir(folder) != nil { count += 1 }
    // Not the two links, nor the descriptor of the folder.
    return count - 3
  }
}
