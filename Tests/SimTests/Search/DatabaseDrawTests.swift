import System
import Testing

@testable import Sim

@Suite("Drawn worlds over PostgreSQL")
struct DatabaseDrawTests {
  @Test("every drawn world over PostgreSQL has a fault")
  func servers() {
    var count = 0
    for number in 1...200 as ClosedRange<UInt64> {
      let scenario = ScenarioDraw(seed: number).scenario(number)
      // The two worlds of a pair come to the same end only without faults.
      guard scenario["topology"]?["database"] != nil, scenario["again"] == nil else { continue }
      count += 1
      #expect(scenario["faults"]?.array?.isEmpty == false, "\(number)")
    }
    #expect(count > 10, "\(count) of 200")
  }
}
