@testable import Environment
import System
import Testing

/// Twice the input takes at most 2.3 times the time and memory. Each group is measured in its own
/// process.
@Suite("Time and memory are linear in a client's input", .serialized)
struct DoublingTests {
  @Test("in the parsers")
  func parsers() async {
    let ended = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
      try DoublingTests.measure(Door.parsers)
    }
    expectLinear(ended, Door.parsers)
  }

  @Test("in the services")
  func services() async {
    let ended = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
      try DoublingTests.measure(Door.services)
    }
    expectLinear(ended, Door.services)
  }

  @Test("the measurement finds quadratic growth")
  func square() async {
    let ended = await #expect(processExitsWith: .success, observing: [\.standardOutputContent]) {
      try DoublingTests.measure(Door.squares)
    }
    let rows = rows(ended)
    #expect(rows.count == Door.squares.count && rows.allSatisfy { $0.hasPrefix("FAIL") }, "\(rows)")
  }

  private static func measure(_ doors: [Door]) throws {
    for door in doors { print(try door.row()) }
  }

  private func rows(_ ended: ExitTest.Result?) -> [Substring] {
    String(decoding: ended?.standardOutputContent ?? [], as: UTF8.self).split(separator: "\n")
  }

  private func expectLinear(_ ended: ExitTest.Result?, _ doors: [Door]) {
    let rows = rows(ended)
    #expect(rows.count == doors.count, "\(rows)")
    let slow = rows.filter { !$0.hasPrefix("ok") }
    #expect(slow.isEmpty, "\(slow.joined(separator: "\n"))")
  }
}

extension Door {
  /// Code with quadratic growth.
  fileprivate static let squares = [
    Door("quadratic time", 1000) { size in
      {
        var sum = 0
        for a in 0..<size { for b in 0..<size { sum &+= a ^ b } }
        require(sum != 1, "the sum is used")
      }
    },
    Door("quadratic memory", 3000) { size in
      {
        let list = (0..<size).map { [UInt8](repeating: UInt8(truncatingIfNeeded: $0), count: size) }
        require(list.count == size, "the list is used")
      }
    },
  ]
}
