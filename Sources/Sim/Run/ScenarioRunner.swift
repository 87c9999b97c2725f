import Environment
import Simulation
import System

/// Runs scenarios. See `docs/simulation.md`.
public struct ScenarioRunner: Sendable {
  let scenario: Scenario

  /// Makes a runner of `scenario`.
  public init(_ scenario: Scenario) { self.scenario = scenario }

  /// Runs the scenario once and judges the run. A scenario with a second world is run in that, too.
  public func run(seed: UInt64, _ options: RunOptions = RunOptions()) -> RunResult {
    // One scheduler's strategy steers one run.
    guard let relation = scenario.again, let other = scenario.other, options.scheduler == nil else {
      return outcome(seed: seed, options).result
    }
    return runTwice(relation, in: other, seed: seed, options)
  }

  /// Runs the scenario once in its own world.
  func outcome(seed: UInt64, _ options: RunOptions) -> RunOutcome {
    let stage = stage(seed: seed, options)
    stage.play()
    let result = result(of: stage, seed: seed)
    let story = stage.turns.map { ClientStory(stage.histories.log, $0, people: scenario.peopleNames) }
    return RunOutcome(result: result, acts: stage.histories.tally.acts, story: story)
  }

  /// The world of a run at its start.
  func stage(seed: UInt64, _ options: RunOptions) -> RunStage {
    let strategy = options.strategy ?? scenario.strategy
    let profile = strategy == .uniform && options.scheduler == nil ? profile(seed: seed) : nil
    return RunStage(scenario, seed: seed, options) { options.scheduler ?? strategy.make($0, profile: profile) }
  }

  /// The lengths of chains, measured over the first sixth of a run in order of the same seed. It is
  /// a function of the seed, and a longer measurement would cost more than it gives.
  private func profile(seed: UInt64) -> StepProfile {
    let counting = InOrder(profiling: true)
    var options = RunOptions()
    options.isHashed = false
    // A branch keeps its run up to its step, so it has the same profile.
    var scenario = scenario
    scenario.branches = []
    scenario.picks = []
    scenario.faults.removeAll { $0.step != nil }
    let world = RunStage(scenario, seed: seed, options) { _ in counting }.world
    world.run(until: scenario.run / 6)
    world.end()
    return counting.profile
  }

  /// Time in which a service may not have started yet that another one needs.
  static let boot: ClosedRange<Int64> = 0...1_000_000_000

  private func result(of stage: RunStage, seed: UInt64) -> RunResult {
    let (world, histories) = (stage.world, stage.histories)
    let attackers = stage.users.compactMap { $0 as? Attacker }
    let stuck = stage.stuck
    stage.count()
    let attack = AttackEvidence(
      blunders: attackers.flatMap(\.blunders),
      held: attackers.isEmpty ? [] : stage.services.map { ($0.name, $0.memory.strangers.used) })
    // Nodes that share a database keep the failed logins in it.
    let hasRestarts = stage.database == nil && (stage.services[0].deaths > 0 || stage.services[0].restarts > 0)
    let simulated = world.now
    _ = stage.tables.read()
    let leftovers = scenario.end == nil && stuck.isEmpty ? stage.leftovers() : []
    let hasDelegates = scenario.people.contains { $0.role == .vandal || $0.role == .caller && $0.isTrusted }
    // Who may publish to the queues may tell one service what another one did not say.
    let isComparing = !hasDelegates && attackers.isEmpty
    var unsound: [String] = []
    if scenario.end == nil, stuck.isEmpty {
      unsound = DirectoryCheck.faults(of: stage.services.flatMap(\.files), isComparing: isComparing)
      if stage.database != nil {
        unsound += SimulatedDatabase.breaches(in: world, of: scenario.serviceNodes, isComparing: isComparing)
      }
    }
    world.end()
    let chatNodes = Set(scenario.chatNodes)
    let delays = world.stalls.filter { stall in
      [(stall.from, stall.to), (stall.to, stall.from)].contains {
        chatNodes.contains($0.0) && $0.1 == Scenario.usersNode
      }
    }
    let identities = Identities(histories.log)
    let evidence = Evidence(
      accounts: AccountEvidence(
        histories.accounts.operations, troubles: world.troubles, outages: stage.databaseOutages(of: scenario.usersNodes)
      ),
      chat: ChatEvidence(
        histories.chat,
        disturbances: stage.disturbances + stage.databaseOutages(of: scenario.chatNodes),
        delays: delays.map(\.time)),
      sessions: histories.sessions,
      run: RunEvidence(
        stuck: stuck, defects: world.defects, leftovers: leftovers, unsound: unsound,
        unknownStatements: stage.database?.unknownStatements ?? []),
      attack: attack,
      callers: CallerEvidence(
        histories.callers, disturbances: stage.disturbances + world.stalls.map(\.time)),
      contract: ContractEvidence(
        histories.log, identities, hasRestarts: hasRestarts,
        hasDelegates: hasDelegates),
      shapes: ShapeEvidence(histories.log, stage.tables),
      told: ToldEvidence(
        histories.log, identities,
        disturbances: stage.disturbances
          + world.stalls.filter { chatNodes.contains($0.from) || chatNodes.contains($0.to) }.map(\.time),
        vanishing: scenario.service.vanishing, end: simulated.nanoseconds)
    )
    let violations = Oracle.judge(evidence, at: Oracle.moments(of: scenario))
    let tally = histories.tally
    tally.add(evidence.contract.decided, to: .decided)
    tally.add(evidence.contract.notDecided, to: .notDecided)
    for log in histories.sessions.methods { tally.count(log.isUndecided ? .notDecided : .decided) }
    return RunResult(
      seed: seed, hash: world.hash.value, violations: violations, counts: tally.counts,
      strikes: stage.driver.strikes, steps: world.scheduler.steps, simulated: simulated,
      orderings: tally.orderings.pairs, draws: world.choices.draws.filter { $0.count > 0 },
      acts: violations.isEmpty ? [] : tally.acts,
      struck: violations.isEmpty ? [] : stage.driver.struck)
  }
}
