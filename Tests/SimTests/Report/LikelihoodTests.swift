import Simulation
import Testing

@testable import Sim

@Suite("When a failure became inevitable")
struct LikelihoodTests {
  /// Runs the estimate of a run that fails by chance up to a step, and always after it.
  private func estimate(steps: Int, decided: Int, chance: Int) -> (likelihood: Likelihood, runs: Int) {
    var likelihood = Likelihood(steps: steps)
    let stream = Choices(seed: 7, hash: RunHash()).stream("test")
    var runs = 0
    while let request = likelihood.next {
      for _ in request.seeds {
        likelihood.add(request.step, failed: request.step >= decided || stream.choose(100) < chance)
        runs += 1
      }
    }
    return (likelihood, runs)
  }

  @Test("the step that decides is found", arguments: [1, 2, 137, 500, 999, 1000])
  func findsTheStep(decided: Int) throws {
    let (likelihood, runs) = estimate(steps: 1000, decided: decided, chance: 10)
    let rise = try #require(likelihood.rise)
    #expect(rise.before.step == decided - 1)
    #expect(rise.after.step == decided)
    #expect(likelihood.points.count <= Likelihood.mostPoints)
    #expect(runs == likelihood.points.count * Likelihood.continuations)
  }

  @Test("a run that was decided from the start has no moment")
  func noMoment() {
    let (likelihood, _) = estimate(steps: 1000, decided: 0, chance: 0)
    #expect(likelihood.base == "100 %")
    #expect(DecidingMoment(likelihood, RunRecord()) == nil)
  }

  @Test("a run of one step, and of none")
  func shortRuns() {
    #expect(estimate(steps: 1, decided: 1, chance: 0).likelihood.points.map(\.step) == [0, 1])
    #expect(estimate(steps: 0, decided: 0, chance: 0).likelihood.points.map(\.step) == [0])
  }

  @Test("the plot has a block for each share of the run")
  func plot() {
    let likelihood = estimate(steps: 1000, decided: 500, chance: 0).likelihood
    #expect(likelihood.plot(width: 8) == "▁▁▁▁████")
  }
}

@Suite("What separates failing runs from passing ones")
struct CausesTests {
  private let scenario = try! Scenario(parsing: Array("{ name: \"x\", people: [{ name: \"ann\" }] }".utf8), file: "x")

  private func run(_ seed: UInt64, failed: Bool, _ orderings: [Orderings.Pair]) -> Causes.Run {
    (
      RunResult(
        seed: seed, hash: 0, violations: [], counts: [.requests: 1], strikes: [], steps: 1, simulated: .zero,
        orderings: orderings, draws: [], acts: [], struck: []), failed
    )
  }

  @Test("the ordering of the failing runs comes first, with an example of either kind")
  func ordering() throws {
    let (decisive, common) = (Orderings.Pair("a", "b"), Orderings.Pair("b", "c"))
    let runs = (1...100).map { (seed: UInt64) -> Causes.Run in
      var orderings: [Orderings.Pair] = []
      if seed % 5 == 0 { orderings.append(decisive) }
      if seed % 2 == 0 { orderings.append(common) }
      return run(seed, failed: seed % 5 == 0, orderings)
    }
    let causes = Causes(runs, of: scenario)
    let first = try #require(causes.causes.first)
    #expect(first.text == "a, and soon after it b")
    #expect(first.with == (20, 20))
    #expect(first.without == (0, 80))
    #expect(first.failing == 5)
    #expect(first.passing == 1)
    // Half of all runs have the other ordering, whether they fail or not, and all have requests.
    #expect(causes.causes.count == 1)
  }

  @Test("orderings of the same runs are one cause")
  func companions() throws {
    let pairs = [Orderings.Pair("a", "b"), Orderings.Pair("c", "d")]
    let runs = (1...100).map { (seed: UInt64) -> Causes.Run in
      run(seed, failed: seed % 5 == 0, seed % 5 == 0 ? pairs : [])
    }
    let cause = try #require(Causes(runs, of: scenario).causes.first)
    #expect(cause.companions == ["c, and soon after it d"])
  }

  @Test("nothing is blamed by chance, or if all runs fail")
  func noCause() {
    let stream = Choices(seed: 3, hash: RunHash()).stream("test")
    let pair = Orderings.Pair("a", "b")
    let runs = (1...200).map { (seed: UInt64) -> Causes.Run in
      let failed = stream.choose(5) == 0
      return run(seed, failed: failed, stream.choose(2) == 0 ? [pair] : [])
    }
    #expect(Causes(runs, of: scenario).causes.isEmpty)
    #expect(Causes(runs.map { ($0.result, true) }, of: scenario).text().contains("Nothing separates"))
  }
}
