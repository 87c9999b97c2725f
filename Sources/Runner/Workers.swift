import Glibc
import Sim
import System

/// Child processes that each run a share of the seeds, so that a trap in the system is a finding and not the end.
enum Workers {
  private final class Worker {
    let process: pid_t
    let pipe: Int32
    var text: [UInt8] = []
    /// The run that was begun and not reported.
    var running: (index: Int, seed: UInt64)?

    init(process: pid_t, pipe: Int32) {
      self.process = process
      self.pipe = pipe
    }
  }

  /// Runs everything; hands each result over as it comes, and returns the runs in which a child died.
  static func run(
    _ options: SimulateCommand.Options, _ handle: (_ scenario: Int, RunResult) -> Void
  ) -> [(index: Int, seed: UInt64)] {
    var workers = (0..<options.jobs).map { start(options, $0) }
    var crashed: [(index: Int, seed: UInt64)] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while !workers.isEmpty {
      var descriptors = workers.map { pollfd(fd: $0.pipe, events: Int16(POLLIN), revents: 0) }
      poll(&descriptors, nfds_t(descriptors.count), -1)
      for (descriptor, worker) in zip(descriptors, workers) where descriptor.revents != 0 {
        let count = read(worker.pipe, &buffer, buffer.count)
        if count > 0 {
          worker.text += buffer[..<count]
          take(worker, handle)
        } else {
          close(worker.pipe)
          var status: Int32 = 0
          waitpid(worker.process, &status, 0)
          if status != 0, let running = worker.running { crashed.append(running) }
          workers.removeAll { $0 === worker }
        }
      }
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
        handle(index, result)
      case nil: continue
      }
    }
  }

  private static func start(_ options: SimulateCommand.Options, _ index: Int) -> Worker {
    var words = ["parley", "simulate"] + options.files
    if let seeds = options.seeds { words += ["--seeds", "\(seeds.lowerBound)...\(seeds.upperBound)"] }
    words += ["--strategy", options.strategy.rawValue, "--worker", "\(index)/\(options.jobs)"]
    let child = ChildProcess.start(words)
    return Worker(process: child.process, pipe: child.pipe)
  }
}

/// A line that a worker prints: that it begins a run, and what came of it.
enum WorkerLine {
  case begin(scenario: Int, seed: UInt64)
  case result(scenario: Int, RunResult)

  init?(_ bytes: [UInt8]) {
    guard let value = try? JSONParser.parse(bytes) else { return nil }
    if let begin = value["begin"]?.array, let index = begin[0].int, let seed = begin[1].int {
      self = .begin(scenario: Int(index), seed: UInt64(seed))
    } else if let index = value["scenario"]?.int, let result = value["result"].flatMap(RunResult.init(json:)) {
      self = .result(scenario: Int(index), result)
    } else {
      return nil
    }
  }
}

/// This program, started once more.
enum ChildProcess {
  /// Starts it with these words; its standard output comes through the pipe.
  static func start(_ words: [String]) -> (process: pid_t, pipe: Int32) {
    var ends: [Int32] = [0, 0]
    require(pipe(&ends) == 0, "no pipe: errno \(errno)")
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
    posix_spawn_file_actions_addclose(&actions, ends[0])
    var pointers: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    var process = pid_t()
    let status = posix_spawn(&process, "/proc/self/exe", &actions, nil, &pointers, environ)
    require(status == 0, "cannot start a child process: errno \(status)")
    for pointer in pointers { free(pointer) }
    posix_spawn_file_actions_destroy(&actions)
    close(ends[1])
    _ = fcntl(ends[0], F_SETFD, FD_CLOEXEC)
    return (process, ends[0])
  }
}
