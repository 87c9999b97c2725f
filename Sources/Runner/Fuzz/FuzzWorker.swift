import Environment
import Simulation
import Glibc
import Sim
import System

/// A child process that runs one case after the other. A trap in the system is a finding and does
/// not end the search: a worker that died is replaced at the next case.
final class FuzzWorker {
  /// A scenario and the seeds to run it with.
  struct Case {
    var number: UInt64 = 0
    let json: JSONValue
    let seeds: ClosedRange<UInt64>
    /// The failure that is looked for; nil for any.
    var goal: Goal?
    /// Whether all events are reported.
    var isRecorded = false
    /// The step at which a run of the first seed is looked at, and ends.
    var lookAt: Int?
  }

  /// A failure of this oracle, in at most this many steps.
  struct Goal {
    let oracle: String
    let maximumSteps: Int

    func isMet(by result: RunResult) -> Bool {
      result.steps <= maximumSteps && result.violations.contains { $0.oracle == oracle }
    }
  }

  /// The outcome of a case.
  struct Outcome {
    var results: [RunResult] = []
    /// What was seen at the step of a look.
    var moment: JSONValue?
    /// The seed whose run killed the process.
    var diedIn: UInt64?
    /// The seed whose run did not end within the time limit.
    var stuckIn: UInt64?
    /// Why the scenario could not be read.
    var refusal: String?
  }

  /// The processor time after which a run counts as endless. A drawn run takes less than a second
  /// in release.
  static let defaultRunLimit: Duration = .seconds(30)

  private(set) var running: Case?
  private var child: ChildProcess.Pipes?
  private var text: [UInt8] = []
  private var outcome = Outcome()
  private var seed: UInt64?
  /// The child's processor time when the running case began.
  private var processorTime: Int64 = 0
  /// The file of the child's standard error; nil for that of this process.
  private let errors: Int32?
  private let runLimit: Duration
  /// The program to run; nil for this one.
  private let program: String?
  /// Receives the events of a case that is recorded.
  var onEvent: (TraceEvent) -> Void = { _ in }

  init(errors: Int32? = nil, runLimit: Duration = FuzzWorker.defaultRunLimit, program: String? = nil) {
    self.program = program
    self.errors = errors
    self.runLimit = runLimit
  }

  /// The descriptor for `poll`; nil when nothing runs.
  var descriptor: Int32? { running == nil ? nil : child?.output }

  deinit { stop() }

  /// Ends the child: kills it if it runs a case, and otherwise lets it end by itself.
  func stop() {
    if let child, running != nil { kill(child.process, SIGKILL) }
    running = nil
    end()
  }

  /// Waits for input for a limited time. Returns whether there is any.
  func isReadable(within milliseconds: Int32) -> Bool {
    guard let child else { return false }
    var descriptor = pollfd(fd: child.output, events: Int16(POLLIN), revents: 0)
    return poll(&descriptor, 1, milliseconds) > 0
  }

  /// Starts a case. The previous one must be done.
  func start(_ one: Case) {
    require(running == nil, "a worker runs one case at a time")
    if child == nil { child = ChildProcess.start(["parley", "simulate", "--cases"], errors: errors, program: program) }
    running = one
    outcome = Outcome()
    seed = nil
    processorTime = child!.processorTime
    var members: [JSONValue.Member] = [
      .init("scenario", one.json), .init("first", .int(Int64(one.seeds.lowerBound))),
      .init("last", .int(Int64(one.seeds.upperBound))),
    ]
    if let goal = one.goal {
      members += [.init("oracle", .string(goal.oracle)), .init("steps", .int(Int64(goal.maximumSteps)))]
    }
    if let step = one.lookAt { members.append(.init("look", .int(Int64(step)))) }
    if one.isRecorded { members.append(.init("recorded", true)) }
    let line = Array((JSONValue.object(members).text + "\n").utf8)
    var sent = 0
    while sent < line.count {
      let count = line[sent...].withUnsafeBytes { write(child!.input, $0.baseAddress, $0.count) }
      // The death of a child shows at its output.
      guard count > 0 else { return }
      sent += count
    }
  }

  /// Ends the running case if it has taken more processor time than a run may, and returns its
  /// outcome. The child is killed.
  func stopIfStuck() -> (Case, Outcome)? {
    guard let child, let one = running,
      child.processorTime - processorTime > runLimit.nanoseconds
    else { return nil }
    outcome.stuckIn = seed ?? one.seeds.lowerBound
    stop()
    return (one, outcome)
  }

  /// Reads the available output. Returns the outcome when the case is done.
  func receive() -> (Case, Outcome)? {
    guard let child, let one = running else { return nil }
    var buffer = [UInt8](repeating: 0, count: 65_536)
    let count = read(child.output, &buffer, buffer.count)
    guard count > 0 else {
      running = nil
      if ChildProcess.wasKilled(end()) {
        outcome.refusal = "its process was killed, perhaps for lack of memory"
      } else {
        outcome.diedIn = seed ?? one.seeds.lowerBound
      }
      return (one, outcome)
    }
    text += buffer[..<count]
    while let end = text.firstIndex(of: 10) {
      let line = Array(text[..<end])
      text.removeFirst(end + 1)
      switch WorkerLine(line) {
      case .begin(_, let begun):
        seed = begun
        processorTime = child.processorTime
      case .event(let event): onEvent(event)
      case .moment(let moment): outcome.moment = moment
      case .result(_, let result): outcome.results.append(result)
      case .refused(let reason): outcome.refusal = reason
      case .done:
        running = nil
        return (one, outcome)
      case nil: continue
      }
    }
    return nil
  }

  /// Waits for the end of the child, which has no more input, and returns its status.
  @discardableResult
  private func end() -> Int32 {
    guard let child else { return 0 }
    close(child.input)
    close(child.output)
    self.child = nil
    text = []
    return ChildProcess.wait(for: child.process)
  }
}

/// The child's side: cases on standard input as lines of JSON, results on standard output.
enum CaseRunner {
  static func run() {
    Interrupt.leaveToParent()
    while let line = readLine() {
      guard let value = try? JSONParser.parse(Array(line.utf8)), let json = value["scenario"],
        let first = value["first"]?.int, let last = value["last"]?.int, first <= last
      else { continue }
      let goal = value["oracle"]?.string.map {
        FuzzWorker.Goal(oracle: $0, maximumSteps: Int(value["steps"]?.int ?? .max))
      }
      do throws(ScenarioError) {
        let scenario = try Scenario(parsing: Array(json.text.utf8), file: "case")
        if let step = value["look"]?.int {
          ScenarioRunner(scenario).look(seed: UInt64(first), after: Int(step)) { WorkerLine.write(.moment($0.json)) }
          WorkerLine.write(.done)
          continue
        }
        for seed in UInt64(first)...UInt64(last) {
          WorkerLine.write(.begin(scenario: 0, seed: seed))
          let sink: ((TraceEvent) -> Void)? =
            value["recorded"] == true ? { WorkerLine.write(.event($0)) } : nil
          let result = ScenarioRunner(scenario).run(seed: seed, RunOptions(sink: sink))
          WorkerLine.write(.result(scenario: 0, result))
          if goal?.isMet(by: result) ?? !result.violations.isEmpty { break }
        }
      } catch {
        WorkerLine.write(.refused(error.description))
      }
      WorkerLine.write(.done)
    }
  }
}
