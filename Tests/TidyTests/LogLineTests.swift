import Foundation
import Testing

/// Compares the lines of the log that ask for an operator with `docs/operations/troubleshoot.md`.
@Suite("Lines of the log")
struct LogLineTests {
  /// The code of the services, without comments.
  private func code() throws -> String {
    try ["Sources/System", "Sources/Runner"].flatMap(TidyTests.files).flatMap(\.lines)
      .filter { !$0.drop { $0 == " " }.hasPrefix("//") }.joined(separator: "\n")
  }

  @Test("each warning and error is explained, and nothing else")
  func explained() throws {
    let path = "docs/operations/troubleshoot.md"
    let page = try String(contentsOf: TidyTests.root.appending(path: path), encoding: .utf8)
    let table = try #require(page.components(separatedBy: "## Lines of the log\n").last)
    let rows = table.split(separator: "\n").filter { $0.hasPrefix("| `") }.map { row in
      row.split(separator: "|")[0].matches(of: /`([a-z-]+)`/).map { String($0.output.1) }
    }
    let explained = rows.flatMap(\.self)
    let code = try code()
    let logged = code.matches(of: /(?:log|own)\.(?:warning|error)\(\s*"([a-z][a-z-]+)"/).map { String($0.output.1) }
    #expect(logged.count > 30)
    #expect(Set(logged).subtracting(explained).isEmpty)
    #expect(explained.filter { !code.contains("\"\($0)\"") }.isEmpty)
    #expect(rows.map(\.[0]) == rows.map(\.[0]).sorted() && Set(explained).count == explained.count)
  }
}
