@testable import Environment
import Testing

@testable import System

@Suite("Byte budgets")
struct ByteBudgetTests {
  @Test("a charge that exceeds the limit changes nothing")
  func limit() {
    let budget = ByteBudget(limit: 10)
    #expect(budget.charge(7))
    #expect(!budget.charge(4))
    #expect(!budget.charge(.max))
    #expect(budget.used == 7)
    #expect(budget.charge(3))
    budget.release(10)
    #expect(budget.used == 0)
  }

  @Test("a charge counts for the parent, too, and fails if the parent is full")
  func shares() {
    let whole = ByteBudget(limit: 10)
    let (one, other) = (ByteBudget(limit: 8, parent: whole), ByteBudget(limit: 8, parent: whole))
    #expect(one.charge(8))
    #expect(!other.charge(3))
    #expect(other.used == 0)
    #expect(whole.used == 8)
    one.release(8)
    #expect(other.charge(3))
    #expect(whole.used == 3)
  }

  @Test("a holding charges and releases the difference, and keeps its bytes when there is no room")
  func holding() {
    let budget = ByteBudget(limit: 10)
    var (one, other) = (Holding(), Holding())
    #expect(one.set(6, of: budget) && other.set(4, of: budget))
    #expect(!one.set(7, of: budget) && one.bytes == 6 && budget.used == 10)
    #expect(one.set(2, of: budget) && budget.used == 6)
    #expect(other.set(8, of: budget) && other.bytes == 8 && budget.used == 10)
    #expect(one.set(0, of: budget) && other.set(0, of: budget) && budget.used == 0)
  }
}
