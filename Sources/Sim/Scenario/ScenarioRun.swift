import Environment
import Simulation
import System

/// What came of one run of a scenario.
public struct RunResult: Sendable {
  /// The seed.
  public let seed: UInt64
  /// The hash over all choices and events.
  public let hash: UInt64
  /// The broken promises; none when all is well.
  public let violations: [Violation]
  /// What the run reached.
  public let counts: [Counter: Int]
  /// How often each of the scenario's faults struck, by its place in the file.
  public let strikes: [Int]
  /// Jobs that the scheduler ran.
  public let steps: Int
  /// Virtual time.
  public let simulated: Duration
  /// What followed what.
  public let orderings: [Orderings.Pair]
  /// How many draws each stream of choices made.
  public let draws: [(stream: String, count: Int)]
  /// What people did, when a promise was broken: for a script that says it.
  public let acts: [Act]
  /// Which fault of the scenario struck when, as `acts`.
  public let struck: [(fault: Int, at: Duration)]

  /// How much people did and how often faults struck, when a promise was broken.
  public var deeds: Int { acts.count + struck.count }
}

extension RunResult {
  /// What is known of a run in which the process died.
  public init(diedWith seed: UInt64) {
    self.init(
      seed: seed, hash: 0, violations: [], counts: [:], strikes: [], steps: 0, simulated: .zero, orderings: [],
      draws: [], acts: [], struck: [])
  }
}

/// How a scenario is run.
public struct RunOptions {
  /// How the scheduler picks; nil for what the scenario says, or a random walk.
  public var strategy: StrategyName?
  /// Picks in the place of `strategy`.
  var scheduler: (any Strategy)?
  /// Whether choices and events are hashed; benchmarks ask what that costs.
  public var isHashed = true
  /// Gets everything that happens.
  public var sink: ((TraceEvent) -> Void)?

  /// The scenario's own strategy, and no trace.
  public init(strategy: StrategyName? = nil, sink: ((TraceEvent) -> Void)? = nil) {
    self.strategy = strategy
    self.sink = sink
  }
}

/// Runs scenarios. See `docs/simulation.md`.
public struct ScenarioRunner: Sendable {
  let scenario: Scenario

  /// A runner of `scenario`.
  public init(_ scenario: Scenario) { self.scenario = scenario }

  /// Runs the scenario once, to the end or to the first oracle that fails.
  public func run(seed: UInt64, _ options: RunOptions = RunOptions()) -> RunResult {
    let strategy = options.strategy ?? scenario.strategy
    let profile = strategy == .uniform && options.scheduler == nil ? profile(seed: seed) : nil
    let stage = Stage(self, seed: seed, options) { options.scheduler ?? strategy.make($0, profile: profile) }
    let (world, services, people, history, driver) =
      (stage.world, stage.services, stage.people, stage.history, stage.driver)
    let end = scenario.end ?? scenario.run + scenario.grace
    world.run(until: min(scenario.run, end))
    if end > scenario.run {
      driver.stop()
      for node in services where !node.isUp { node.restart(after: .milliseconds(10)) }
      world.run(until: end) {
        people.allSatisfy(\.isServed) && services.allSatisfy(\.isServing)
      }
    }
    let attackers = people.compactMap { $0 as? Attacker }
    // Time to notice that they have gone, and to let go of what was held for them.
    if scenario.end == nil, !attackers.isEmpty { world.run(until: world.now + .seconds(5)) }
    let stuck = stuck(world, services, people)
    for supervisor in stage.sessions.overview?["SUPERVISORS"]?.array ?? [] {
      history.tally(.takeovers, max(0, Int(supervisor["EPOCH"]?.int ?? 1) - 1))
    }
    for node in services { count(node, into: history) }
    let held = attackers.isEmpty ? [] : services.map { HeldMemory(node: $0.name, strangers: $0.memory.strangers.used) }
    count(world, into: history)
    let simulated = world.now
    world.end()
    let evidence = Evidence(
      operations: history.operations, troubles: world.troubles, stuck: stuck, defects: world.defects)
    let delays = world.stalls.filter { [$0.from, $0.to].sorted() == [Scenario.chatNode, Scenario.usersNode] }
    let chatEvidence = ChatEvidence(
      stage.chat, disturbances: [Self.boot] + driver.disturbances, delays: delays.map(\.time))
    let violations =
      (AccountOracles.judge(evidence) + ChatOracles.judge(chatEvidence) + SessionOracles.judge(stage.sessions)
      + AttackOracles.judge(attackers, held))
      .filter { scenario.end == nil || Violation.immediate.contains($0.oracle) }
    return RunResult(
      seed: seed, hash: world.hash.value, violations: violations, counts: history.counts,
      strikes: driver.strikes, steps: world.scheduler.steps, simulated: simulated,
      orderings: history.orderings.pairs, draws: world.choices.draws, acts: violations.isEmpty ? [] : history.acts,
      struck: violations.isEmpty ? [] : driver.struck)
  }

  /// How long chains are. A run in order tells, of the first sixth: that is a function of the seed as well, and to know it better would not
  /// be worth what it takes.
  private func profile(seed: UInt64) -> StepProfile {
    let counting = InOrder(profiling: true)
    var options = RunOptions()
    options.isHashed = false
    let world = Stage(self, seed: seed, options) { _ in counting }.world
    world.run(until: scenario.run / 6)
    world.end()
    return counting.profile
  }

  /// A world with all that the scenario names in it, begun.
  private struct Stage {
    let world: World
    let services: [SimNode]
    let people: [any Inhabitant]
    let history: History
    let chat: ChatHistory
    let sessions: SessionHistory
    let driver: FaultDriver

    init(
      _ runner: ScenarioRunner, seed: UInt64, _ options: RunOptions, strategy: (Choices) -> any Strategy
    ) {
      let scenario = runner.scenario
      let world = World(
        seed: seed, windows: scenario.windows, isHashed: options.isHashed, sink: options.sink, strategy: strategy)
      world.link = scenario.link
      let users = world.addNode(Scenario.usersNode, program: runner.program(of: Scenario.usersNode))
      services =
        [users]
        + scenario.serviceNodes.filter { $0 != Scenario.usersNode }.map {
          world.addNode($0, program: runner.program(of: $0))
        }
      history = History(
        now: { [unowned world] in world.scheduler.now },
        wall: { [unowned users, unowned world] in users.clock.wallTime(world.scheduler.now).seconds })
      chat = ChatHistory { [unowned world] in world.scheduler.now }
      sessions = SessionHistory { [unowned world] in world.scheduler.now }
      if scenario.isQuick { sessions.news = .seconds(2) }
      people = runner.people(
        world.choices, history, chat, sessions,
        manager: scenario.supervisorHosts > 0 ? Scenario.managerAddress : nil, token: ScenarioRunner.serviceToken)
      for person in people {
        world.addNode(person.name) { environment in
          try await person.live(environment)
          return nil
        }
      }
      for rule in scenario.clocks {
        world.node(rule.node)?.clock.skew = rule.skew
        world.node(rule.node)?.clock.driftPartsPerMillion = rule.driftPartsPerMillion
      }
      driver = FaultDriver(scenario, in: world, history: history)
      for node in services {
        node.onDiskTrouble { [unowned world] in world.noteTrouble() }
      }
      driver.arm()
      for node in world.nodes { node.start() }
      self.world = world
    }
  }

  /// Time in which a service may not have started yet that another one needs.
  private static let boot: ClosedRange<Int64> = 0...1_000_000_000

  private func stuck(_ world: World, _ services: [SimNode], _ people: [any Inhabitant]) -> [String] {
    let waiting = people.filter { !$0.isServed }
    let down = services.filter { !$0.isServing }
    guard !waiting.isEmpty || !down.isEmpty else { return [] }
    let lines =
      waiting.prefix(5).map { "\($0.name) was not served; last: \($0.lastSeen)" }
      + down.map { "\($0.name) does not serve; failed starts: \($0.failedStarts)" }
    return lines + ["what everything waits for:"] + world.waits.split(separator: "\n").prefix(40).map(String.init)
  }

  private func count(_ node: SimNode, into history: History) {
    history.tally(.crashes, node.deaths)
    history.tally(.crashesInCommit, node.deathsInCommit)
    history.tally(.failedStarts, node.failedStarts)
    history.tally(.restarts, node.restarts)
    history.tally(.diskErrors, node.diskFaults.failed)
    history.tally(.diskFull, node.diskFaults.filled)
    history.tally(.bitRot, node.diskFaults.rotted)
  }

  private func count(_ world: World, into history: History) {
    history.tally(.stalls, world.stalls.count)
    history.tally(
      .expiredTokens,
      history.operations.count { operation in
        operation.request.token.map { $0.expires <= operation.wallAtInvocation } ?? false
      })
  }
}
