import Glibc
import System

/// A kind of input from clients that may have any size, and the code that handles it.
struct Door: Sendable {
  let name: String
  /// The smallest measured size.
  let size: Int
  /// Makes an input of the given size, and returns a closure that handles it. Only the closure is
  /// measured.
  let make: @Sendable (Int) throws -> () throws -> Void

  init(_ name: String, _ size: Int, _ make: @escaping @Sendable (Int) throws -> () throws -> Void) {
    self.name = name
    self.size = size
    self.make = make
  }

  /// Measures time and memory at `size` and after two doublings. Returns a line with the costs,
  /// which begins with "FAIL" if one of them grows by more than 2.3 for each doubling.
  func row() throws -> String {
    var seconds: [Double] = []
    var bytes: [Double] = []
    let sizes = [size, size * 4]
    for size in sizes { bytes.append(try heldBytes(at: size)) }
    for size in sizes { seconds.append(try time(at: size)) }
    // The minimum of several rounds excludes other load of the machine. The sizes alternate, since
    // that load changes.
    for _ in 1..<Self.rounds {
      for (index, size) in sizes.enumerated() { seconds[index] = min(seconds[index], try time(at: size)) }
    }
    let isLinear =
      seconds[1] <= max(seconds[0], Self.leastSeconds) * Self.bound
      && bytes[1] <= max(bytes[0], Self.leastBytes) * Self.bound
    func text(_ costs: [Double], _ unit: Double) -> String {
      costs.map { "\(Int(($0 / unit).rounded()))" }.joined(separator: " → ")
    }
    return "\(isLinear ? "ok" : "FAIL"): \(name): \(text(seconds, 1e-6)) µs, \(text(bytes, 1024)) KiB"
  }

  /// A factor of 2.3 for each of two doublings.
  private static let bound = 2.3 * 2.3
  private static let rounds = 5
  /// Smaller costs are rounded up to these, since interrupts take time and the allocator keeps
  /// freed memory.
  private static let leastSeconds = 0.001
  private static let leastBytes = 4_194_304.0

  /// The CPU time of this thread in seconds.
  private func time(at size: Int) throws -> Double {
    let take = try make(size)
    let begin = Self.now
    try take()
    return Self.now - begin
  }

  private static var now: Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  // MARK: Memory

  /// The peak memory of the process while it handles the input, minus the memory before. No other
  /// thread may run.
  private func heldBytes(at size: Int) throws -> Double {
    let take = try make(size)
    Self.returnFreeMemory()
    let before = try Self.residentKilobytes("VmRSS:")
    // Resets the peak (proc_pid_clear_refs(5)).
    try Self.write("5", to: "/proc/self/clear_refs")
    try take()
    return Double(max(0, try Self.residentKilobytes("VmHWM:") - before)) * 1024
  }

  /// `malloc_trim`, which is missing in the module Glibc.
  private static let returnFreeMemory: @Sendable () -> Void = {
    let trim = unsafeBitCast(dlsym(nil, "malloc_trim"), to: (@convention(c) (Int) -> CInt).self)
    return { _ = trim(0) }
  }()

  private struct Unreadable: Error {
    let path: String
  }

  private static func residentKilobytes(_ field: String) throws -> Int {
    let path = "/proc/self/status"
    guard let file = fopen(path, "r") else { throw Unreadable(path: path) }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    while fgets(&line, CInt(line.count), file) != nil {
      let words = line.prefix { $0 != 0 }.split { $0 == 32 || $0 == 9 || $0 == 10 }.map {
        String(decoding: $0.map(UInt8.init(bitPattern:)), as: UTF8.self)
      }
      if words.first == field, words.count > 1, let number = Int(words[1]) { return number }
    }
    throw Unreadable(path: path)
  }

  private static func write(_ text: String, to path: String) throws {
    let file = open(path, O_WRONLY)
    guard file >= 0 else { throw Unreadable(path: path) }
    defer { close(file) }
    guard Glibc.write(file, text, text.utf8.count) == text.utf8.count else { throw Unreadable(path: path) }
  }
}
