import Environment
import Glibc
import Real
import Sim
import System

/// `parley drive`: runs the people of a scenario against live servers.
enum DriveCommand {
  static let usage = """
    parley drive SCENARIO --against URL… [FLAGS]

    Runs the people of a scenario against live servers, over the real network and in real time, and checks
    what they observe with the same oracles. Each server reports which service it is. Faults of the scenario
    are skipped. The last line is always `N passed, N failed`.
    """

  static let flags = [
    Flag(name: "ca", placeholder: "FILE", help: "authorities of https servers; default: those of the system"),
    Flag(
      name: "against", placeholder: "URL", help: "the URL of a server that the scenario uses; repeatable",
      isRepeatable: true),
    Flag(name: "people", placeholder: "N", help: "number of people of each kind; default: as in the scenario"),
    Flag(name: "time", placeholder: "TIME", help: "how long people act; default: as in the scenario"),
    Flag(
      name: "service-token", placeholder: "T",
      help: "the token that services show each other; the User Manager requires it beyond loopback"),
    Flag(name: "seed", placeholder: "N", help: "seed of the people's actions; default 1"),
  ]

  static func run(_ words: [String]) throws(UsageError) -> Int32 {
    let arguments = try Arguments(words, flags: flags)
    guard arguments.words.count == 1 else { throw UsageError("expected one scenario: parley drive FILE --against URL") }
    var (_, scenario) = try ScenarioFiles.read(arguments.words[0])
    if let time = try arguments.time("time") { scenario.run = time }
    let seed = UInt64(try arguments.int("seed", in: 0...Int.max) ?? 1)
    let people = try arguments.int("people", in: 1...100_000)
    let urls = arguments.values["against"] ?? []
    guard !urls.isEmpty else {
      throw UsageError("missing --against; write for example --against http://127.0.0.1:8001")
    }
    signal(SIGPIPE, SIG_IGN)
    FileLimit.raise()
    let node: RealNode
    let network = try network(to: urls, authorities: arguments.value("ca"))
    do { node = try RealNode.visitor("drive", level: .warning, network: network) } catch {
      throw UsageError("\(error)")
    }
    var servers: LiveRunner.Servers = [:]
    for url in urls {
      let address = try ServiceURL(url, "against").address
      servers[try service(at: address, url, node)] = address
    }
    // Unused names: the servers may have accounts from an earlier drive.
    let tag = "x" + String(EventLoop.nanoseconds / 1_000_000, radix: 36)
    let runner = LiveRunner(
      scenario, servers: servers, tag: tag, people: people, serviceToken: arguments.value("service-token"))
    for name in runner.needed where servers[name] == nil {
      throw UsageError("the people of this scenario use the service \"\(name)\": add --against with its URL")
    }
    return report(scenario, try live(runner, node, seed))
  }

  /// The network of a client of the servers at `urls`, with TLS where a URL says so.
  private static func network(
    to urls: [String], authorities: String?
  ) throws(UsageError) -> (Environment) -> any Network {
    var peers: [SocketAddress: SecurePeer] = [:]
    for url in urls {
      let url = try ServiceURL(url, "against")
      if url.isSecure { peers[url.address] = SecurePeer(.http, .named) }
    }
    let certificates = try TLSFiles(authorities: authorities).makeCertificates()
    return { [peers] in SecureNetwork($0, certificates: certificates, peers: peers) }
  }

  /// Asks a server which service it is.
  private static func service(at address: SocketAddress, _ url: String, _ node: RealNode) throws(UsageError) -> String {
    let titles = [
      "User Management Service": "users", "Chat Service": "chat", "Customer Server": "customers",
      "User Manager": "manager",
    ]
    do {
      let title = try node.run { environment in
        let client = HTTPClient(environment, address: address)
        defer { client.close() }
        let response = try await client.send("GET", "/openapi.json", timeout: .seconds(5))
        return try JSONParser.parse(response.body)["info"]?["title"]?.string
      }
      if let name = title.flatMap({ titles[$0] }) { return name }
    } catch {
      throw UsageError("--against \(url): \(error)")
    }
    throw UsageError("--against \(url): not a service of Parley")
  }

  private static func live(_ runner: LiveRunner, _ node: RealNode, _ seed: UInt64) throws(UsageError) -> RunResult {
    do {
      return try node.run { try await runner.run($0, seed: seed) }
    } catch {
      throw UsageError("\(error)")
    }
  }

  private static func report(_ scenario: Scenario, _ result: RunResult) -> Int32 {
    if !scenario.faults.isEmpty { print("left out: \(scenario.faults.count) faults") }
    print("\(scenario.name): \(Int(result.simulated.inSeconds)) s; \(SimulationReport.counted(result.counts))")
    for violation in result.violations { print("\nFAILED \(violation)") }
    print(result.violations.isEmpty ? "1 passed, 0 failed" : "0 passed, 1 failed")
    return result.violations.isEmpty ? 0 : 1
  }
}
