@testable import Simulation
import Testing

@testable import Sim

@Suite("Linearizability")
struct LinearizabilityTests {
  /// A register: the textbook's example.
  enum Register: SequentialModel {
    enum Input {
      case write(Int)
      case read(Int)
    }
    static let initial = 0
    static func step(_ state: Int, _ input: Input) -> Int? {
      switch input {
      case .write(let value): value
      case .read(let value): state == value ? state : nil
      }
    }
  }

  private func check(_ entries: [(Int, Int, Register.Input)]) -> LinearizabilityVerdict {
    Linearizability<Register>.check(
      entries.enumerated().map {
        HistoryEntry(invoked: $0.element.0, answered: $0.element.1, input: $0.element.2, operation: $0.offset)
      })
  }

  @Test("sequential operations must fit in their order")
  func sequential() {
    #expect(check([(1, 2, .write(1)), (3, 4, .read(1))]) == .linearizable)
    #expect(check([(1, 2, .write(1)), (3, 4, .read(0))]) == .violated(operation: 1))
  }

  @Test("overlapping operations may fit in either order")
  func concurrent() {
    #expect(check([(1, 10, .write(1)), (2, 3, .read(0)), (4, 5, .read(1))]) == .linearizable)
    #expect(check([(1, 10, .write(1)), (2, 3, .read(1)), (4, 5, .read(0))]) != .linearizable)
    #expect(check([(1, 8, .write(1)), (1, 8, .write(2)), (9, 10, .read(1))]) == .linearizable)
  }

  @Test("an operation without an answer may take effect at any time after it began, or never, but not before")
  func unanswered() {
    #expect(check([(1, .max, .write(1)), (2, 3, .read(0)), (4, 5, .read(1))]) == .linearizable)
    #expect(check([(1, .max, .write(1)), (2, 3, .read(0))]) == .linearizable)
    #expect(check([(1, 2, .read(1)), (3, .max, .write(1))]) != .linearizable)
    #expect(check([(1, .max, .write(1)), (2, 3, .read(1)), (4, 5, .read(0))]) != .linearizable)
  }

  @Test("a long history with little concurrency is judged quickly")
  func long() {
    var entries: [(Int, Int, Register.Input)] = []
    for index in 0..<20_000 { entries.append((4 * index, 4 * index + 5, .write(index))) }
    entries.append((90_000, 90_001, .read(19_999)))
    #expect(check(entries) == .linearizable)
  }
}
