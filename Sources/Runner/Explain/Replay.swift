import Glibc
import Sim
import Simulation
import System

/// Runs in a child process. Its standard error is kept: it says why a process died.
struct Replay {
  private let worker: FuzzWorker
  private let errors: Int32

  init() throws(UsageError) {
    var name = Array("/tmp/parley-errors-XXXXXX".utf8CString)
    errors = mkstemp(&name)
    guard errors >= 0, unlink(name) == 0 else { throw UsageError("/tmp: \(String(cString: strerror(errno)))") }
    _ = fcntl(errors, F_SETFD, FD_CLOEXEC)
    // Set for the child only. The runtime reads it at the start of a process.
    setenv("SWIFT_BACKTRACE", "enable=yes,color=no,interactive=no,threads=crashed,images=none,output-to=stderr", 0)
    worker = FuzzWorker(errors: errors)
  }

  /// The first seed that fails, or nil.
  func firstFailing(_ json: JSONValue, _ seeds: ClosedRange<UInt64>) throws(UsageError) -> UInt64? {
    let outcome = try outcome(.init(json: json, seeds: seeds))
    return outcome.diedIn ?? outcome.results.first { !$0.violations.isEmpty }?.seed
  }

  /// A run, which may have killed its process.
  struct Run {
    let violations: [Violation]
    let acts: [Act]
    let steps: Int
  }

  /// The outcome of a run, which is recorded.
  func run(_ json: JSONValue, seed: UInt64, _ record: RunRecord) throws(UsageError) -> Run {
    // Earlier children may have died as well.
    let begin = lseek(errors, 0, SEEK_CUR)
    let outcome = try outcome(.init(json: json, seeds: seed...seed, isRecorded: true)) { record.note($0) }
    if outcome.diedIn != nil {
      return Run(
        violations: [.death(at: record.lastAt, saying: said(since: begin))], acts: [], steps: record.lastStep)
    }
    let result = outcome.results.first
    return Run(violations: result?.violations ?? [], acts: result?.acts ?? [], steps: result?.steps ?? 0)
  }

  /// The moment at a step of a run, as JSON.
  func look(_ json: JSONValue, seed: UInt64, after step: Int) throws(UsageError) -> JSONValue {
    let outcome = try outcome(.init(json: json, seeds: seed...seed, lookAt: step))
    guard let moment = outcome.moment else { throw UsageError("the run killed its process before step \(step)") }
    return moment
  }

  private func outcome(
    _ one: FuzzWorker.Case, _ note: @escaping (TraceEvent) -> Void = { _ in }
  ) throws(UsageError) -> FuzzWorker.Outcome {
    worker.onEvent = note
    worker.start(one)
    while true {
      guard let (_, outcome) = worker.receive() else { continue }
      if let refusal = outcome.refusal { throw UsageError(refusal) }
      return outcome
    }
  }

  /// The standard error of the child.
  private func said(since begin: off_t) -> [String] {
    var text: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    lseek(errors, begin, SEEK_SET)
    while case let count = read(errors, &buffer, buffer.count), count > 0 { text += buffer[..<count] }
    return String(decoding: text, as: UTF8.self).split(separator: "\n").map(String.init)
  }
}
