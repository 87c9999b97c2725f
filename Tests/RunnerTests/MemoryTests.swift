@testable import Environment
import Foundation
import Testing

@Suite("Memory")
struct MemoryTests {
  @Test("1,000 crashes and restarts of the service keep memory flat")
  func crashes() throws {
    let tests = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()
    let loop = try FinishedProcess(tests.appending(path: "CrashLoop"), [])
    #expect(loop.code == 0, "\(loop.output)\(loop.errors)")
    let held = loop.output.split(separator: "\n").compactMap { Int($0) }
    try #require(held.count == 2)
    #expect(held[0] > 0 && held[1] - held[0] < 20_000, "grew from \(held[0]) kB to \(held[1]) kB")
  }
}
