@testable import Simulation
import Testing

@testable import Sim

@Suite("The first event that differs")
struct DivergenceTests {
  private func event(_ number: Int, _ detail: String = "", bytes: [UInt8] = []) -> TraceEvent {
    var event = TraceEvent(at: Int64(number), node: "a", kind: .send, detail: detail)
    event.transfer = .init(connection: 1, peer: "b", bytes: bytes, number: number)
    return event
  }

  private func compared(_ first: [TraceEvent], _ second: [TraceEvent]) -> Divergence {
    var divergence = Divergence()
    // One side comes first, as from two processes.
    for event in first { divergence.add(event, to: .first) }
    divergence.end(.first)
    for event in second { divergence.add(event, to: .second) }
    divergence.end(.second)
    return divergence
  }

  @Test("equal runs")
  func equalRuns() {
    let events = (0..<5000).map { event($0, bytes: [UInt8($0 % 256)]) }
    let divergence = compared(events, events)
    #expect(!divergence.isFound && divergence.isComplete)
    #expect(divergence.equal == 5000)
    #expect(divergence.text(["one", "two"]) == "The runs are equal: 5000 events.")
  }

  @Test("a byte, a word, and an event more are differences", arguments: [0, 1, 3000, 4999])
  func differences(place: Int) {
    let events = (0..<5000).map { event($0, "e\($0)") }
    var others = events
    others[place] = event(place, "e\(place)", bytes: [1])
    #expect(compared(events, others).equal == place)
    others[place] = event(place, "other")
    let text = compared(events, others).text(["one", "two"])
    #expect(text.hasPrefix("The runs differ after \(place) equal events."))
    #expect(text.contains("e\(place)") && text.contains("other"))
    let shorter = compared(Array(events[..<place]), events)
    #expect(shorter.isFound && shorter.equal == place)
    #expect(shorter.text(["one", "two"]).contains("one:\n  the end of the run"))
  }
}
