import Foundation
import Testing

/// Checks the width of prose: comments, and the paragraphs of Markdown.
@Suite("Prose")
struct ProseTests {
  private static let width = 100

  /// The lines of a file that are prose.
  private static func prose(_ name: String, _ text: String) -> [(number: Int, line: Substring)] {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    var isCode = false
    return lines.enumerated().compactMap { index, line in
      let start = line.drop { $0 == " " }
      if name.hasSuffix(".md") {
        let isFence = start.hasPrefix("```")
        if isFence { isCode.toggle() }
        // Tables, headings and the targets of links cannot be wrapped.
        let isWhole = start.hasPrefix("|") || start.hasPrefix("#") || line.contains("](") || start.hasPrefix("[")
        return isCode || isFence || isWhole ? nil : (index + 1, line)
      }
      // Examples in comments are code, and an answer that is quoted has no place to break.
      if start.hasPrefix("/// ```") { isCode.toggle() }
      let isQuotation = start.hasPrefix("// {") || line.contains("://")
      return start.hasPrefix("//") && !isCode && !isQuotation ? (index + 1, line) : nil
    }
  }

  @Test("lines of prose have at most 100 columns", arguments: ["Sources", "Tests", "Examples", "scenarios", "docs"])
  func width(of folder: String) throws {
    let base = TidyTests.root.appending(path: folder)
    let names = try FileManager.default.subpathsOfDirectory(atPath: base.path).sorted().filter {
      ($0.hasSuffix(".swift") || $0.hasSuffix(".json5") || $0.hasSuffix(".md")) && !$0.contains(".build/")
    }
    #expect(!names.isEmpty)
    for name in names {
      let text = try String(contentsOf: base.appending(path: name), encoding: .utf8)
      for (number, line) in Self.prose(name, text) where line.count > Self.width {
        Issue.record("\(folder)/\(name):\(number): \(line.count) columns")
      }
    }
  }

  @Test("a long comment is prose, and a long line of code is not")
  func examples() {
    let long = String(repeating: "word ", count: 25)
    #expect(Self.prose("a.swift", "  /// \(long)\nlet a = \"\(long)\"").map(\.number) == [1])
    #expect(Self.prose("a.md", "\(long)\n| \(long) |\n```\n\(long)\n```\n\(long)").map(\.number) == [1, 6])
  }
}
