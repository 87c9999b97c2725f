import Environment
import Glibc
import Real
import Sim
import Simulation
import System

/// `parley explore`: a page on loopback that steps through a run.
enum ExploreCommand {
  static let usage = """
    parley explore SCENARIO [FLAGS]

    Serves a page on loopback that steps through a run, forward and backward, and prints its URL. The page is
    that of `parley explain`. At each step it also shows which jobs may run next, and what each node is
    doing, holds in memory and has on its connections. Let another job go first, or strike a fault, and the
    run goes on from there: a branch, which is written as a scenario file.

    Without --seed it uses the scenario's own seed, or the first from 1 to 200 that fails. It runs until it
    is interrupted.
    """

  static let flags = [
    Flag(name: "seed", placeholder: "N", help: "the seed of the run"),
    Flag(
      name: "strategy", placeholder: "S", help: StrategyName.list + "; default: the scenario's own, or random"),
    Flag(name: "port", placeholder: "N", help: "the port to listen on; default: any that is free"),
    Flag(name: "out", placeholder: "DIR", help: "the folder of the branches, which is made; default explored"),
  ]

  static func run(_ words: [String]) throws(UsageError) -> Int32 {
    let arguments = try Arguments(words, flags: flags)
    let (json, scenario) = try ScenarioFiles.readOne(arguments, for: .explore)
    let port = try arguments.int("port", in: 0...Int(UInt16.max)) ?? 0
    let folder = arguments.value("out") ?? "explored"
    let signals = StopSignals()
    var seed = try arguments.seed() ?? scenario.seed ?? 1
    if try arguments.seed() == nil, scenario.seed == nil,
      let failing = try Replay().firstFailing(json, ExplainCommand.searched)
    {
      seed = failing
    }
    let run = try ExploredRun(json, seed: seed, title: scenario.name)
    guard mkdir(folder, 0o777) == 0 || errno == EEXIST else {
      throw UsageError("\(folder): \(String(cString: strerror(errno)))")
    }
    let name = arguments.words[0].split(separator: "/").last.map { $0.replacing(".json5", with: "") } ?? "run"
    let server: HTTPServer
    do {
      let node = try RealNode.visitor("explore", level: .warning)
      let explorer = Explorer(node.environment, run, files: "\(folder)/\(name)-")
      server = try node.run { environment in
        let listener = try environment.network.listen(
          SocketAddress(host: "127.0.0.1", port: UInt16(port)), backlog: 16, for: .http)
        let server = HTTPServer(
          environment, listener, service: ExploreRoutes.description, routes: ExploreRoutes.table(explorer),
          metrics: Metrics(service: "explore"), options: HTTPServerOptions())
        server.start()
        return server
      }
      print("\(scenario.name), seed \(seed), \(run.verdict): \(run.steps) steps")
      print("http://127.0.0.1:\(server.address.port)/?key=\(explorer.key)")
      _ = signals.wait()
      try node.run { _ in await server.drain() }
    } catch let error as UsageError { throw error } catch { throw UsageError("\(error)") }
    return 0
  }
}
