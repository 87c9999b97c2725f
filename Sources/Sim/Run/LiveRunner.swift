import Environment
import Simulation
import System

/// Runs the users of a scenario against live servers in real time, and judges the run with the same
/// oracles. The faults and the callers of the scenario are left out.
public struct LiveRunner: Sendable {
  /// The addresses of the servers, by the name of the service.
  public typealias Servers = [String: SocketAddress]

  /// Time after the last action in which every user has to be served.
  private static let grace: Duration = .seconds(120)
  private let scenario: Scenario
  private let servers: Servers
  private let serviceToken: String?

  /// Makes a runner of a scenario. `tag` makes the names of the users new. `people` replaces the
  /// number of users in each group. `serviceToken` opens the overview of the manager in the end, if
  /// the manager is among the servers, and operators act only with it.
  public init(_ scenario: Scenario, servers: Servers, tag: String, people: Int? = nil, serviceToken: String? = nil) {
    var scenario = scenario
    // Live servers are one world, in real time.
    (scenario.turns, scenario.again) = (nil, nil)
    // Callers read the tables of the services, and a live server's are in another process.
    scenario.people.removeAll { $0.role == .caller || $0.role == .operator && serviceToken == nil }
    for index in scenario.people.indices {
      scenario.people[index].tag = tag
      // The service notices an abandoned socket after an interval and a time-out of its heartbeats,
      // 45 s by default.
      scenario.people[index].rest = scenario.people[index].role == .chat ? .seconds(50) : .seconds(5)
      (scenario.people[index].missing, scenario.people[index].ending) = (.zero, .zero)
      scenario.people[index].stillness = .seconds(60)
      if let people { scenario.people[index].count = people }
      if serviceToken == nil { scenario.people[index].chatActions.removeAll { $0.action == .eraseUser } }
      scenario.people[index].name += tag
    }
    if serviceToken == nil { scenario.script.removeAll { $0.action == ChatAction.eraseUser.rawValue } }
    scenario.script = scenario.script.map {
      .init(
        at: $0.at, who: Self.tagged($0.who, tag, scenario), action: $0.action,
        to: $0.to.map { Self.tagged($0, tag, scenario) })
    }
    self.scenario = scenario
    self.servers = servers
    self.serviceToken = serviceToken
  }

  /// The name with the tag: `ann-1` becomes `annTAG-1`.
  private static func tagged(_ name: String, _ tag: String, _ scenario: Scenario) -> String {
    for group in scenario.people {
      let before = group.name.dropLast(tag.count)
      if name == before { return group.name }
      if name.hasPrefix(before + "-") { return group.name + name.dropFirst(before.count) }
    }
    return name
  }

  /// The services that the users need.
  public var needed: [String] {
    var needed: [String] = []
    for group in scenario.people {
      switch group.role {
      case .account, .operator: needed.append("users")
      case .chat
      where [.deleteSession, .deleteUser, .eraseUser].contains(where: { scenario.hasAction($0, in: group) }):
        needed += ["chat", "users"]
      case .chat, .user: needed.append("chat")
      case .customer: needed += ["customers", "users"]
      case .vandal, .worker: needed.append("broker")
      case .attacker: needed += scenario.serviceNodes
      case .caller: break
      }
    }
    return ["users", "chat", "customers", "broker"].filter(needed.contains)
  }

  /// Whether an operator can read the manager's overview.
  private var hasOperator: Bool {
    servers["manager"] != nil && scenario.people.contains { $0.role == .user || $0.role == .customer }
  }

  /// Runs the users and judges what they saw.
  public func run(_ real: Environment, seed: UInt64) async throws -> RunResult {
    let environment = Environment(
      node: real.node, clock: real.clock, network: RedirectedNetwork(real.network, servers), storage: real.storage,
      entropy: real.entropy, executor: real.executor, log: real.log)
    let begin = environment.clock.now
    let now: @Sendable () -> Int64 = { (environment.clock.now - begin).nanoseconds }
    let histories = Histories(now: now, wall: { environment.clock.wallTime.seconds })
    if let serviceToken {
      histories.accounts.operatorToken = serviceToken
      histories.chat.operatorToken = serviceToken
    }
    let choices = Choices(seed: seed, hash: RunHash())
    let people = scenario.users(
      choices, histories, ServedTables(of: []), manager: hasOperator ? servers["manager"] : nil, token: serviceToken)
    var tasks: [Task<Void, Never>] = []
    for person in people {
      let confined = Confined(person)
      tasks.append(
        environment.executor.spawn("person") {
          // A user that gives up is not served, and the result says so.
          do { try await confined.value.live(environment) } catch {
            environment.log.warning(
              "person-ended", ["who": .string(confined.value.name), "error": .string("\(error)")])
          }
        })
    }
    let end = begin + scenario.run + Self.grace
    // The run does not wait in real time for a throttle. All users share an address, so some may be
    // throttled.
    while !people.allSatisfy({ $0.isServed || $0.isThrottled }), environment.clock.now < end {
      try await environment.clock.sleep(for: .milliseconds(50))
    }
    for task in tasks { task.cancel() }
    let stuck = people.filter { !$0.isServed && !$0.isThrottled }.map {
      "\($0.name) was not served; last step: \($0.lastSeen)"
    }
    let evidence = Evidence(
      accounts: AccountEvidence(histories.accounts.operations), chat: ChatEvidence(histories.chat),
      sessions: histories.sessions, run: RunEvidence(stuck: stuck),
      contract: ContractEvidence(histories.log, Identities(histories.log), hasRestarts: true))
    return RunResult(
      seed: seed, hash: choices.hash.value,
      violations: Oracle.judge(evidence),
      counts: histories.tally.counts, strikes: [], steps: 0, simulated: .nanoseconds(now()),
      orderings: histories.tally.orderings.pairs, draws: choices.draws, acts: [], struck: [])
  }
}

/// A network that connects the names of a scenario's nodes to live servers.
struct RedirectedNetwork: Network {
  private let network: any Network
  private let servers: LiveRunner.Servers

  init(_ network: any Network, _ servers: LiveRunner.Servers) {
    self.network = network
    self.servers = servers
  }

  func listen(
    _ address: SocketAddress, backlog: Int, for application: ApplicationProtocol?
  ) throws(NetworkError) -> any Listener {
    try network.listen(address, backlog: backlog, for: application)
  }

  func connect(to address: SocketAddress, deadline: Instant) async throws -> any Connection {
    // The operator uses the manager's own address.
    if servers.contains(where: { $0.value == address }) {
      return try await network.connect(to: address, deadline: deadline)
    }
    guard let server = servers[address.host] else {
      throw NetworkError.unreachable("no server is known for \(address.host)")
    }
    return try await network.connect(to: server, deadline: deadline)
  }
}
