import System
import Testing

@testable import Sim
@testable import Simulation

@Suite("Stepping through a run, and branches of it")
struct ExploreTests {
  private static let lesson = "lessons/acknowledged-before-the-effect"

  private func look(_ scenario: Scenario, at step: Int) throws -> Moment {
    var found: Moment?
    ScenarioRunner(scenario).look(seed: try #require(scenario.seed), after: step) { found = $0 }
    return try #require(found)
  }

  /// The events of a run as text, with their steps.
  private func events(_ scenario: Scenario, isWatched: Bool = false) throws -> [(step: Int, text: String)] {
    var events: [(step: Int, text: String)] = []
    var options = RunOptions { events.append(($0.step, $0.wholeJSON.text)) }
    options.isWatched = isWatched
    _ = ScenarioRunner(scenario).run(seed: try #require(scenario.seed), options)
    return events
  }

  /// The branch of a lesson, read from its file.
  private func branch(_ lesson: String, _ branch: NewBranch) throws -> Scenario {
    let json = try JSONParser.parse(try Scenario.bytes(lesson), as: .json5)
    let scenario = try Scenario.file(lesson)
    let file = branch.file(json, scenario, seed: try #require(scenario.seed), at: .milliseconds(800))
    return try Scenario(parsing: Array(file.pretty().utf8), file: "branch")
  }

  @Test("who looks at a run does not change it", arguments: StrategyName.allCases)
  func sameRun(strategy: StrategyName) throws {
    let scenario = try Scenario.file(Self.lesson).shortened(to: .milliseconds(600))
    let hashes = [false, true].map { isWatched in
      var options = RunOptions(strategy: strategy)
      options.isWatched = isWatched
      return ScenarioRunner(scenario).run(seed: 18, options).hash
    }
    #expect(hashes[0] == hashes[1])
  }

  @Test("a step has one moment, whichever step was looked at before")
  func moments() throws {
    let scenario = try Scenario.file(Self.lesson)
    let first = try look(scenario, at: 1868)
    let later = try look(scenario, at: 1900)
    #expect(try look(scenario, at: 1868).json == first.json)
    #expect(first.step == 1868 && later.step >= 1900 && later.at >= first.at)
    let next = try #require(first.next)
    #expect(first.jobs.indices.contains(next) && first.jobs[next].task.hasPrefix("manager/"))
  }

  @Test("a step after the end of the run has no jobs")
  func end() throws {
    let moment = try look(try Scenario.file(Self.lesson).shortened(to: .milliseconds(300)), at: 1_000_000)
    #expect(moment.jobs.isEmpty && moment.next == nil && moment.step > 100)
  }

  @Test("a moment has the nodes, what they hold, and their connections")
  func state() throws {
    let scenario = try Scenario.file(Self.lesson)
    let before = try look(scenario, at: 1868)
    let after = try look(scenario, at: 1945)
    func state(_ moment: Moment, _ node: String) -> String? { moment.nodes.first { $0.name == node }?.state }
    #expect(state(before, "manager") == "serving" && state(after, "manager") == "down")
    let broker = try #require(before.nodes.first { $0.name == "broker" }?.held?.json.text)
    // The queues by name, and who holds the lease of the session.
    #expect(broker.contains("UME_USER_SERVER"))
    #expect(try #require(before.nodes.first { $0.name == "manager" }?.held?.json.text).contains("supervisor-1-"))
    #expect(before.connections.contains { $0.from == "manager" && $0.to == "broker:5672" })
  }

  /// Runs a scenario and calls `see` before jobs, at most once in `distance` steps, until it
  /// returns true.
  private func visit(_ scenario: Scenario, from step: Int, every distance: Int, _ see: @escaping (World, Int) -> Bool)
    throws
  {
    var options = RunOptions()
    options.isWatched = true
    let stage = ScenarioRunner(scenario).stage(seed: try #require(scenario.seed), options)
    var isDone = false
    func wait(for step: Int) {
      stage.world.onPick(after: step) { place in
        isDone = see(stage.world, place)
        if !isDone { wait(for: stage.world.scheduler.steps + distance) }
      }
    }
    wait(for: step)
    stage.play { isDone }
    stage.world.end()
  }

  @Test("every moment can be looked at: services may refer to objects that are gone")
  func anyMoment() throws {
    var count = 0
    try visit(try Scenario.file("lessons/checked-then-set"), from: 0, every: 40) { world, place in
      let moment = Moment(of: world, next: place)
      count += moment.nodes.isEmpty ? 0 : 1
      return false
    }
    #expect(count > 50)
  }

  @Test("a branch is the same up to its step; then the other job runs")
  func pick() throws {
    let lesson = "lessons/checked-then-set"
    let scenario = try Scenario.file(lesson)
    var found: Moment?
    // Two jobs of one service: a choice that only the scheduler makes.
    try visit(scenario, from: 1000, every: 1) { world, place in
      let jobs = world.runnable
      guard jobs.count == 2, jobs.allSatisfy({ $0.task.hasPrefix("customers/") }) else { return false }
      found = Moment(of: world, next: place)
      return true
    }
    let moment = try #require(found)
    let (step, next) = (moment.step, try #require(moment.next))
    let other = 1 - next
    let changed = try branch(lesson, NewBranch(step: moment.step, .job(other)))
    #expect(changed.hasOneSeed && changed.picks == [Pick(step: moment.step, job: other)])
    #expect(try look(changed, at: step).next == other)
    let (was, became) = (try events(scenario), try events(changed))
    let prefix = was.filter { $0.step <= step }.map(\.text)
    #expect(prefix == became.filter { $0.step <= step }.map(\.text) && prefix.count > 100)
    // The job that was overtaken comes next, unless the other one has made more.
    #expect(try look(changed, at: step + 1).jobs.contains { $0.chain == moment.jobs[next].chain })
  }

  @Test("the job that goes next anyway changes no event")
  func samePick() throws {
    let scenario = try Scenario.file(Self.lesson)
    let next = try #require(try look(scenario, at: 1868).next)
    let same = try branch(Self.lesson, NewBranch(step: 1868, .job(next)))
    #expect(try events(same).map(\.text) == (try events(scenario)).map(\.text))
  }

  @Test("a fault strikes at its step", arguments: FaultHere.allCases)
  func fault(fault: FaultHere) throws {
    let struck = try branch(Self.lesson, NewBranch(step: 900, .fault(fault, node: "chat")))
    #expect(struck.faults.last?.step == 900)
    let (was, became) = (try events(try Scenario.file(Self.lesson)), try events(struck))
    let same = zip(was, became).prefix { $0.text == $1.text }.count
    #expect(same > 100)
    // The first event that differs is the fault, before the next job runs.
    #expect(became[same].step == 900 && became[same].text.contains("\"kind\":\(Trace.Kind.fault.rawValue),"))
    #expect(became[same].text.contains("chat"))
  }

  @Test("a branch of a branch keeps what was changed before its step, and drops the rest")
  func branches() throws {
    let json: JSONValue = [
      "name": "x", "picks": ["10@1", "30@1"], "fails": ["live"], "faults": [["atStep": 40, "crash": "users"]],
    ]
    let scenario = try Scenario(parsing: Array("{ name: 'x' }".utf8), file: "x")
    let file = NewBranch(step: 20, .job(2)).file(json, scenario, seed: 7, at: .zero)
    #expect(file["picks"] == ["10@1", "20@2"] && file["seed"] == 7 && file["fails"] == nil)
    let later = file["faults"]?.array ?? []
    #expect(later.isEmpty)
  }

  @Test("actions of a step come in order, a pick once, and steps that were passed do no harm")
  func steering() {
    var steering = Steering([Pick(step: 5, job: 1), Pick(step: 7, job: 9), Pick(step: 8, job: 0)])
    var done: [Int] = []
    for (number, step) in [(1, 9), (2, 3), (3, 3)] { steering.add(step) { done.append(number) } }
    #expect(steering.nextAction == 3 && steering.takeAction(upTo: 2) == nil)
    while let act = steering.takeAction(upTo: 4) { act() }
    #expect(done == [2, 3] && steering.nextAction == 9)
    #expect(steering.pick(after: 4, among: 3) == nil)
    #expect(steering.pick(after: 5, among: 3) == 1 && steering.pick(after: 5, among: 3) == nil)
    // A place without a job leaves the choice to the strategy. Step 8 was passed.
    #expect(steering.pick(after: 7, among: 3) == nil && steering.pick(after: 9, among: 3) == nil)
  }

  @Test("what changed is told from the first event that differs")
  func changes() throws {
    let scenario = try Scenario.file(Self.lesson)
    let (run, other) = (RunRecord(), RunRecord())
    _ = ScenarioRunner(scenario).run(seed: 18, RunOptions { run.note($0) })
    let killed = try branch(Self.lesson, NewBranch(step: 900, .fault(.kill, node: "chat")))
    _ = ScenarioRunner(killed).run(seed: 18, RunOptions { other.note($0) })
    #expect(RunChanges(run, run, from: 0).text == "Every event is the same.")
    let text = RunChanges(run, other, from: 900).text
    #expect(text.contains("This branch went on:\n") && text.contains("  chat is killed\n"))
  }
}
