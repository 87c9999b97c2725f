import Foundation
import Sim
import System
import Testing

@Test func smoke() async throws {
  for file in try FileManager.default.contentsOfDirectory(atPath: "scenarios/accounts").sorted() {
    let s = try Scenario(parsing: Array(FileManager.default.contents(atPath: "scenarios/accounts/" + file)!), file: file)
    var sum = ScenarioSummary(s)
    let t = ContinuousClock().measure { for seed in 1...5 as ClosedRange<UInt64> { let r = ScenarioRunner(s).run(seed: seed); sum.add(r); print(file, seed, String(r.hash, radix: 16), r.steps, r.simulated); for v in r.violations { print(v) } } }
    print(file, t, sum.counts.sorted { $0.key.rawValue < $1.key.rawValue }.map { "\($0.key):\($0.value)" }, sum.unreached)
  }
}
