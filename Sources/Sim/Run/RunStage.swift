import Environment
import Simulation
import System

/// The world of one run: its services, its users and its faults, all started.
struct RunStage {
  let world: World
  let services: [SimNode]
  let users: [any SimulatedUser]
  let histories: Histories
  let driver: FaultDriver
  /// The turns of the users, if they act one after another.
  let turns: Turns?
  private let restarts: Restarts?
  /// The tables of the services.
  let tables: ServedTables
  /// The PostgreSQL of the world, if it has one.
  let database: SimulatedDatabase?
  private let scenario: Scenario

  init(
    _ scenario: Scenario, seed: UInt64, _ options: RunOptions, strategy: (Choices) -> any Strategy
  ) {
    let world = World(
      seed: seed, windows: scenario.windows, branches: scenario.branches, picks: scenario.picks,
      isHashed: options.isHashed, isWatched: options.isWatched, sink: options.sink, strategy: strategy)
    world.link = scenario.link
    world.splitsDiskWork = scenario.splitsDiskWork
    let runner = ScenarioRunner(scenario)
    let certificates = scenario.certificates(seed: seed)
    let database = scenario.hasDatabaseServer ? SimulatedDatabase() : nil
    self.database = database
    let accounts = scenario.usersNodes
    services = (accounts + scenario.serviceNodes.filter { !accounts.contains($0) }).map {
      world.addNode($0, program: runner.program(of: $0, certificates, database))
    }
    let account = services[0]
    histories = Histories(
      now: { [unowned world] in world.scheduler.now },
      wall: { [unowned account, unowned world] in account.clock.wallTime(world.scheduler.now).seconds })
    if scenario.isQuick { histories.sessions.news = .seconds(2) }
    tables = ServedTables(of: services)
    turns = scenario.turns == nil ? nil : Turns(scenario, world.choices, histories.log)
    users = scenario.users(
      world.choices, histories, tables,
      manager: scenario.supervisorHosts > 0 ? Scenario.managerAddress : nil,
      token: Scenario.serviceToken, turns: turns)
    restarts = turns.map { [services] in Restarts(scenario, $0, in: world, services) }
    for user in users {
      let confined = Confined(user)
      world.addNode(user.name) { environment in
        let limited = environment.with(limits: scenario.service.limits)
        try await confined.value.live(certificates?.secure(limited) ?? limited)
        return nil
      }
    }
    for rule in scenario.clocks {
      world.node(rule.node)?.clock.skew = rule.skew
      world.node(rule.node)?.clock.driftPartsPerMillion = rule.driftPartsPerMillion
    }
    driver = FaultDriver(
      scenario.faults, link: scenario.link, in: world, tally: histories.tally, certificates: certificates,
      database: database?.faults)
    for node in services {
      node.onDiskTrouble { [unowned world] in world.noteTrouble() }
    }
    driver.arm()
    for node in world.nodes { node.start() }
    self.world = world
    self.scenario = scenario
  }

  /// Time after the end of an attack in which the services notice it and free what they held.
  private static let release: Duration = .seconds(5)

  /// Runs the world to the end of the scenario: through the faults, and then until every user has
  /// been served and every service is up. It ends early when `isHalted` returns true.
  func play(isHalted: () -> Bool = { false }) {
    let end = scenario.end ?? scenario.run + scenario.grace
    if scenario.turns == nil {
      world.run(until: min(scenario.run, end), stop: isHalted)
    } else {
      // Turns take the time that they need.
      world.run(until: end) { isHalted() || users.allSatisfy(\.isServed) }
    }
    if isHalted() { return }
    if end > scenario.run {
      driver.stop()
      for node in services where !node.isUp { node.restart(after: .milliseconds(10)) }
      world.run(until: end) {
        isHalted() || users.allSatisfy(\.isServed) && services.allSatisfy(\.isServing)
      }
    }
    if isHalted() { return }
    if scenario.end == nil, users.contains(where: { $0 is Attacker }) { world.run(until: world.now + Self.release) }
  }

  /// Time in which the services notice that everybody has left, beside their heartbeats.
  private static let leaving: Duration = .seconds(70)
  /// Time in which a service that was restarted comes to rest.
  private static let settling: Duration = .seconds(10)
  /// The moments at which the services are counted before the restart, apart from the first.
  private static let samples = 8
  /// No part of the periods of the services' own work.
  private static let betweenSamples: Duration = .milliseconds(137)

  /// What the services hold when everybody has left, and would not hold after a restart. Sessions
  /// that nobody has ended are there before and after it. Empty for a scenario that does not ask
  /// for it.
  func leftovers() -> [String] {
    guard scenario.atRest else { return [] }
    // The sessions of PostgreSQL are the connections in the pools of the services.
    let judged = services.filter { $0.name != Scenario.databaseNode }
    world.run(until: world.now + scenario.service.vanishing + Self.leaving)
    var inventory = Inventory(of: judged)
    for _ in 0..<Self.samples {
      world.run(until: world.now + Self.betweenSamples)
      inventory = inventory.lowest(Inventory(of: judged))
    }
    for node in services { node.crash(.kill) }
    for node in services { node.restart(after: .milliseconds(10)) }
    world.run(until: world.now + .seconds(60)) { services.allSatisfy(\.isServing) }
    world.run(until: world.now + Self.settling)
    // What is under way at some moments only may be missing at one of them.
    var idle = Inventory(of: judged)
    for _ in 0..<2 * Self.samples where !inventory.excess(over: idle).isEmpty {
      world.run(until: world.now + Self.betweenSamples)
      idle = idle.highest(Inventory(of: judged))
    }
    return inventory.excess(over: idle)
  }

  /// The users that were not served, the services that are down, and the waits of all tasks. Empty
  /// if everything is well.
  var stuck: [String] {
    let waiting = users.filter { !$0.isServed }
    let down = services.filter { !$0.isServing }
    guard !waiting.isEmpty || !down.isEmpty else { return [] }
    let lines =
      waiting.prefix(5).map { "\($0.name) was not served; last step: \($0.lastSeen)" }
      + down.map { "\($0.name) does not serve; failed starts: \($0.failedStarts)" }
    return lines + ["waiting tasks:"] + world.waits.split(separator: "\n").prefix(40).map(String.init)
  }

  /// The time in which services are not up yet. Over PostgreSQL the first start of one may fail,
  /// since the server is not up itself, and its tables are created over the network. It lasts until
  /// now while one has not served yet.
  var boot: ClosedRange<Int64> {
    let usual = ScenarioRunner.boot
    let now = world.scheduler.now
    return usual.lowerBound...max(usual.upperBound, services.map { $0.firstServed ?? now }.max() ?? 0)
  }

  /// The times in which a fault, the boot or a restart may explain that a service was not available
  /// to another, in nanoseconds.
  var disturbances: [ClosedRange<Int64>] { [boot] + driver.disturbances + (restarts?.times ?? []) }

  /// The times in which a fault may explain that a service on some nodes cannot use its PostgreSQL,
  /// in nanoseconds. With a file of its own it has no such times.
  func databaseOutages(of nodes: [String]) -> [ClosedRange<Int64>] {
    guard database != nil else { return [] }
    let ends = Set(nodes + [Scenario.databaseNode])
    let aftermath = FaultDriver.aftermath.nanoseconds
    let dead = services.filter { ends.contains($0.name) }.flatMap(\.downtimes)
    let slow = world.stalls.filter { ends.contains($0.from) && ends.contains($0.to) }.map(\.time)
    let late = (dead + slow + world.troubles.map { $0...$0 }).map { $0.lowerBound...$0.upperBound + aftermath }
    return [boot] + driver.disturbances(of: ends) + late
  }

  /// Adds to the tally what the nodes and the network have counted themselves.
  func count() {
    let tally = histories.tally
    for supervisor in histories.sessions.overview?["SUPERVISORS"]?.array ?? [] {
      tally.add(max(0, Int(supervisor["EPOCH"]?.int ?? 1) - 1), to: .takeovers)
    }
    for node in services {
      tally.add(node.deaths, to: .crashes)
      tally.add(node.deathsInCommit, to: .crashesInCommit)
      tally.add(node.failedStarts, to: .failedStarts)
      tally.add(node.restarts, to: .restarts)
      tally.add(node.diskFaults.failed, to: .diskErrors)
      tally.add(node.diskFaults.filled, to: .diskFull)
      tally.add(node.diskFaults.rotted, to: .bitRot)
    }
    tally.add(world.stalls.count, to: .stalls)
    tally.add(database?.faults.struck ?? 0, to: .databaseErrors)
    let expired = histories.accounts.operations.count { operation in
      operation.request.token.map { $0.expires <= operation.wallAtInvocation } ?? false
    }
    tally.add(expired, to: .expiredTokens)
  }
}
