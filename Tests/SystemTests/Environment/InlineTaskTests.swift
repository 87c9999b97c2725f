import Environment
import Testing

@Suite("Inline tasks")
struct InlineTaskTests {
  private final class Sum: @unchecked Sendable { var value = 0 }

  private static func next(_ sum: Sum) async { sum.value += 1 }

  @Test("asynchronous code that never suspends has ended when the call returns")
  func ends() {
    let sum = Sum()
    runInline { for _ in 0..<1000 { await Self.next(sum) } }
    #expect(sum.value == 1000)
  }

  @Test("code that suspends stops the process")
  func suspends() async {
    await #expect(processExitsWith: .failure) { runInline { await Task.yield() } }
  }
}
