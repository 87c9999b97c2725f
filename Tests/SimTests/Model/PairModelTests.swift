import Simulation
import Testing

@testable import Sim

/// Requests one after another, for models.
enum Sequence {
  static func entries<Input>(_ inputs: [Input]) -> [HistoryEntry<Input>] {
    inputs.enumerated().map {
      HistoryEntry(invoked: 2 * $0.offset, answered: 2 * $0.offset + 1, input: $0.element, operation: $0.offset)
    }
  }

  /// Whether a model gives these answers to requests one after another.
  static func isExplained<Model: SequentialModel>(_ model: Model.Type, _ inputs: [Model.Input]) -> Bool {
    Linearizability<Model>.check(entries(inputs)) == .linearizable
  }
}

@Suite("The model of two users")
struct PairModelTests {
  private typealias Input = PairModel.Input

  private static func isExplained(_ inputs: [Input]) -> Bool { Sequence.isExplained(PairModel.self, inputs) }

  private static let friends: [Input] = [.add(.low, .done(.new)), .add(.high, .done(.friend))]
  private static let blocked = friends + [.change(.low, to: .blocked, .done(.blocked))]

  @Test("who asks waits for the other side")
  func asking() {
    #expect(Self.isExplained(Self.friends))
    #expect(Self.isExplained([.add(.low, .done(.new)), .add(.low, .done(.new))]))
    #expect(!Self.isExplained([.add(.low, .done(.friend))]))
    #expect(!Self.isExplained([.add(.low, .done(.new)), .change(.low, to: .friend, .done(.friend))]))
    #expect(Self.isExplained([.add(.low, .done(.new)), .change(.low, to: .friend, .refused(400))]))
    #expect(Self.isExplained([.add(.low, .done(.new)), .change(.high, to: .friend, .done(.friend))]))
    #expect(Self.isExplained([.change(.low, to: .friend, .refused(404))]))
    #expect(!Self.isExplained([.change(.low, to: .friend, .refused(400))]))
  }

  @Test("only the one who blocked lifts the block")
  func blocking() {
    #expect(Self.isExplained(Self.blocked + [.change(.low, to: .new, .done(.new))]))
    #expect(!Self.isExplained(Self.blocked + [.change(.high, to: .new, .done(.new))]))
    #expect(Self.isExplained(Self.blocked + [.change(.high, to: .new, .refused(400))]))
    #expect(!Self.isExplained(Self.blocked + [.change(.low, to: .new, .refused(400))]))
    #expect(!Self.isExplained(Self.blocked + [.change(.high, to: .friend, .done(.friend))]))
    #expect(Self.isExplained(Self.blocked + [.add(.high, .refused(400))]))
    #expect(!Self.isExplained(Self.blocked + [.join]))
  }

  @Test("a direct message needs a friend, and takes the next place")
  func messages() {
    #expect(Self.isExplained(Self.friends + [.store(1), .store(2), .store(nil), .store(4)]))
    #expect(!Self.isExplained(Self.friends + [.store(2)]))
    #expect(!Self.isExplained([.add(.low, .done(.new)), .store(1)]))
    #expect(!Self.isExplained(Self.friends + [.refuse]))
    #expect(Self.isExplained(Self.blocked + [.refuse]))
    #expect(!Self.isExplained(Self.blocked + [.store(1)]))
  }

  @Test(
    "a page has what the request asks for",
    arguments: [
      (PageRequest(), [1, 2, 3, 4, 5]), (PageRequest(limit: 2), [4, 5]), (PageRequest(after: 1, limit: 2), [2, 3]),
      (PageRequest(before: 3), [1, 2]), (PageRequest(before: 4, limit: 1), [3]), (PageRequest(after: 5), []),
      (PageRequest(after: 1, before: 4), [2, 3]), (PageRequest(before: 1), []),
    ])
  func pages(_ request: PageRequest, _ found: [Int]) {
    let told = Self.friends + (1...5).map { .store($0) }
    #expect(Self.isExplained(told + [.read(request, found)]))
    #expect(!Self.isExplained(told + [.read(request, found + [6])]))
    #expect(!Self.isExplained(told + [.read(request, nil)]))
    if !found.isEmpty { #expect(!Self.isExplained(told + [.read(request, Array(found.dropFirst()))])) }
    #expect(request.page(of: 1...5) == found)
  }

  @Test("a contact list shows the contact, until an account is deleted")
  func lists() {
    #expect(Self.isExplained([.list(nil)] + Self.friends + [.list(.friend), .remove, .list(nil)]))
    #expect(!Self.isExplained(Self.friends + [.list(nil)]))
    #expect(!Self.isExplained(Self.friends + [.remove, .list(.friend)]))
    #expect(Self.isExplained(Self.friends + [.remove, .add(.low, .refused(404))]))
  }

  @Test("a request without an answer may take effect later, or never")
  func unknown() {
    let asked = [HistoryEntry(invoked: 0, answered: .max, input: Input.add(.low, .unknown), operation: 0)]
    for outcome in [Outcome.done(PairModel.Status.new), .done(.friend)] {
      let answered = HistoryEntry(invoked: 1, answered: 2, input: Input.add(.high, outcome), operation: 1)
      #expect(Linearizability<PairModel>.check(asked + [answered]) == .linearizable)
    }
  }
}
