import Environment
import Simulation
import CLinux
import Glibc
import Sim
import System

/// Child processes that each run a share of the seeds. A trap in one of them is a finding and does
/// not end the search.
enum Workers {
  private final class Worker {
    let process: pid_t
    let pipe: Int32
    var text: [UInt8] = []
    /// The run that has begun and has not been reported.
    var running: (index: Int, seed: UInt64)?
    /// The share of the child, and how many of its runs are done.
    let share: Int
    var done: Int

    init(process: pid_t, pipe: Int32, share: Int, done: Int) {
      self.process = process
      self.pipe = pipe
      self.share = share
      self.done = done
    }
  }

  /// A run in which a child died.
  typealias Crash = (index: Int, seed: UInt64, wasKilled: Bool)

  /// Runs everything. Passes on each result at once, and returns the runs in which a child died.
  static func run(
    _ options: SimulateCommand.Options, _ handle: (_ scenario: Int, RunResult) -> Void
  ) -> [Crash] {
    var workers = (0..<options.jobs).map { start(options, $0, after: 0) }
    var crashed: [Crash] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while !workers.isEmpty, !Interrupt.isRequested {
      var descriptors = workers.map { pollfd(fd: $0.pipe, events: Int16(POLLIN), revents: 0) }
      poll(&descriptors, nfds_t(descriptors.count), -1)
      for (descriptor, worker) in zip(descriptors, workers) where descriptor.revents != 0 {
        let count = read(worker.pipe, &buffer, buffer.count)
        if count > 0 {
          worker.text += buffer[..<count]
          take(worker, handle)
        } else {
          close(worker.pipe)
          let status = ChildProcess.wait(for: worker.process)
          workers.removeAll { $0 === worker }
          guard status != 0, let running = worker.running else { continue }
          crashed.append((running.index, running.seed, ChildProcess.wasKilled(status)))
          // Another child continues after the run in which this one died.
          workers.append(start(options, worker.share, after: worker.done + 1))
        }
      }
    }
    for worker in workers {
      kill(worker.process, SIGKILL)
      close(worker.pipe)
      _ = ChildProcess.wait(for: worker.process)
    }
    return crashed
  }

  private static func take(_ worker: Worker, _ handle: (_ scenario: Int, RunResult) -> Void) {
    while let end = worker.text.firstIndex(of: 10) {
      let line = Array(worker.text[..<end])
      worker.text.removeFirst(end + 1)
      switch WorkerLine(line) {
      case .begin(let index, let seed): worker.running = (index, seed)
      case .result(let index, let result):
        worker.running = nil
        worker.done += 1
        handle(index, result)
      case .event, .moment, .refused, .done, nil: continue
      }
    }
  }

  private static func start(_ options: SimulateCommand.Options, _ share: Int, after done: Int) -> Worker {
    var words = ["parley", "simulate"] + options.files
    if let seeds = options.seeds { words += ["--seeds", "\(seeds.lowerBound)...\(seeds.upperBound)"] }
    if let strategy = options.strategy { words += ["--strategy", strategy.rawValue] }
    words += ["--worker", "\(share)/\(options.jobs)/\(done)"]
    let child = ChildProcess.start(words)
    close(child.input)
    return Worker(process: child.process, pipe: child.output, share: share, done: done)
  }
}

/// A line of a worker: the start of a run, an event, a moment of a run, a result, an unreadable
/// scenario, or the end of a case.
enum WorkerLine {
  case begin(scenario: Int, seed: UInt64)
  case event(TraceEvent)
  case moment(JSONValue)
  case result(scenario: Int, RunResult)
  case refused(String)
  case done

  init?(_ bytes: [UInt8]) {
    guard let value = try? JSONParser.parse(bytes) else { return nil }
    if let begin = value["begin"]?.array, begin.count == 2, let index = begin[0].int, let seed = begin[1].int {
      self = .begin(scenario: Int(index), seed: UInt64(seed))
    } else if let event = value["event"].flatMap(TraceEvent.init(json:)) {
      self = .event(event)
    } else if let moment = value["moment"] {
      self = .moment(moment)
    } else if let index = value["scenario"]?.int, let result = value["result"].flatMap(RunResult.init(json:)) {
      self = .result(scenario: Int(index), result)
    } else if let reason = value["refused"]?.string {
      self = .refused(reason)
    } else if value["done"] != nil {
      self = .done
    } else {
      return nil
    }
  }

  private var json: JSONValue {
    switch self {
    case .begin(let index, let seed): ["begin": [.int(Int64(index)), .int(Int64(seed))]]
    case .event(let event): ["event": event.wholeJSON]
    case .moment(let moment): ["moment": moment]
    case .result(let index, let result): ["scenario": .int(Int64(index)), "result": result.json]
    case .refused(let reason): ["refused": .string(reason)]
    case .done: ["done": true]
    }
  }

  /// Prints a line at once: the parent needs it even if the next run dies. Ends the process if
  /// there is no reader.
  static func write(_ line: WorkerLine) {
    print(line.json.text)
    if parley_flush_stdout() != 0 { exit(2) }
  }
}

/// Another process of this program.
enum ChildProcess {
  /// A child with pipes to its standard input and from its standard output.
  struct Pipes {
    let process: pid_t
    let input: Int32
    let output: Int32

    /// The processor time that the child has used, in nanoseconds; 0 after its end.
    var processorTime: Int64 {
      var clock = clockid_t()
      var time = timespec()
      guard clock_getcpuclockid(process, &clock) == 0, clock_gettime(clock, &time) == 0 else { return 0 }
      return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
  }

  /// Waits for its end, and returns the status.
  static func wait(for process: pid_t) -> Int32 {
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0, errno == EINTR {}
    return status
  }

  /// Whether it died of SIGKILL. The system sends none itself: the kernel does when memory runs
  /// out.
  static func wasKilled(_ status: Int32) -> Bool { status & 0x7F == SIGKILL }

  /// Starts a child with these arguments. It inherits standard error, unless another file is given.
  /// It runs this program, unless another one is given.
  static func start(_ words: [String], errors: Int32? = nil, program: String? = nil) -> Pipes {
    var input: [Int32] = [0, 0]
    var output: [Int32] = [0, 0]
    require(pipe(&input) == 0 && pipe(&output) == 0, "cannot create a pipe: errno \(errno)")
    // Other children must not inherit this end, or the end of file would never be seen.
    for end in input + output { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_adddup2(&actions, input[0], 0)
    posix_spawn_file_actions_adddup2(&actions, output[1], 1)
    if let errors { posix_spawn_file_actions_adddup2(&actions, errors, 2) }
    var pointers: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    var process = pid_t()
    let status = posix_spawn(&process, program ?? "/proc/self/exe", &actions, nil, &pointers, environ)
    require(status == 0, "cannot start a child process: errno \(status)")
    for pointer in pointers { free(pointer) }
    posix_spawn_file_actions_destroy(&actions)
    close(input[0])
    close(output[1])
    return Pipes(process: process, input: input[1], output: output[0])
  }
}
