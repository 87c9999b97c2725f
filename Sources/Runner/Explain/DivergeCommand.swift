import Glibc
import Sim
import Simulation
import System

/// `parley diverge`: runs a scenario twice, in two processes, and reports the first event that
/// differs.
enum DivergeCommand {
  static let usage = """
    parley diverge SCENARIO [FLAGS]

    Runs a scenario twice with the same seed, in two processes with different environments, and compares every
    event and every byte. Prints the first event that differs, what led to it, and how each run goes on. The
    exit code is 1 if the runs differ. With --with, another build of parley makes the second run.
    """

  static let flags = [
    Flag(name: "seed", placeholder: "N", help: "the seed; default: the scenario's own, or 1"),
    Flag(
      name: "strategy", placeholder: "S", help: StrategyName.list + "; default: the scenario's own, or random"),
    Flag(name: "with", placeholder: "BINARY", help: "the program of the second run"),
  ]

  static func run(_ words: [String]) throws(UsageError) -> Int32 {
    let arguments = try Arguments(words, flags: flags)
    let (json, scenario) = try ScenarioFiles.readOne(arguments, for: .diverge)
    let seed = try arguments.seed() ?? scenario.seed ?? 1
    let other = arguments.value("with")
    if let other, access(other, X_OK) != 0 {
      throw UsageError("--with: \(other): \(String(cString: strerror(errno)))")
    }
    let divergence = try compare(.init(json: json, seeds: seed...seed, isRecorded: true), with: other)
    print("\(scenario.name), seed \(seed)\n")
    print(divergence.text(["the first run", other.map { "the run of \($0)" } ?? "the second run"]))
    return divergence.isFound ? 1 : 0
  }

  private static func compare(_ one: FuzzWorker.Case, with other: String?) throws(UsageError) -> Divergence {
    var divergence = Divergence()
    let first = FuzzWorker()
    first.onEvent = { divergence.add($0, to: .first) }
    first.start(one)
    // A run must not depend on the environment.
    setenv("TZ", "Pacific/Kiritimati", 1)
    setenv("LC_ALL", "tr_TR.UTF-8", 1)
    setenv("MALLOC_PERTURB_", "165", 1)
    let second = FuzzWorker(program: other)
    second.onEvent = { divergence.add($0, to: .second) }
    second.start(one)
    while !divergence.isComplete {
      let running = [(first, Divergence.Side.first), (second, .second)].filter { $0.0.running != nil }
      var descriptors = running.map { pollfd(fd: $0.0.descriptor!, events: Int16(POLLIN), revents: 0) }
      poll(&descriptors, nfds_t(descriptors.count), -1)
      for (descriptor, (worker, side)) in zip(descriptors, running) where descriptor.revents != 0 {
        guard let (_, outcome) = worker.receive() else { continue }
        if let refusal = outcome.refusal { throw UsageError(refusal) }
        divergence.end(side)
      }
    }
    return divergence
  }
}
