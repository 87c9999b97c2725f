import Foundation
import Testing

/// Checks the rules of the project in its source files.
@Suite("Tidy")
struct TidyTests {
  struct Rule: Sendable {
    let name: String
    /// The folders under `Sources` that the rule applies to.
    let folders: [String]
    let pattern: String
    /// A line that contains this text is allowed.
    let unless: String?
    /// A line that breaks the rule. It shows that the rule can fail.
    let example: String
  }

  static let rules: [Rule] = [
    Rule(
      name: "only the environment starts tasks", folders: ["System", "Sim"],
      pattern: #"\bTask(\.detached)?\s*(\{|\()"#, unless: "// The one place where tasks begin.",
      example: "    Task { await x() }"),
    Rule(
      name: "only the environment starts tasks", folders: ["System"], pattern: #"\bTask\.immediate"#,
      unless: "// The one place where a task runs inline.",
      example: "    Task.immediate { await x() }"),
    Rule(
      name: "no clock but the environment's", folders: ["System", "Sim"],
      pattern: #"\b(Date\(\)|ContinuousClock|SuspendingClock|Task\.sleep|clock_gettime|gettimeofday)"#, unless: "///",
      example: "let now = Date()"),
    Rule(
      name: "no entropy but the environment's", folders: ["System", "Sim"],
      pattern:
        #"(\bUUID\(\)|\.random\(|\.randomElement\(|\.shuffled\(|SystemRandomNumberGenerator|getrandom|arc4random|RAND_bytes)"#,
      unless: nil, example: "let x = Int.random(in: 0..<3)"),
    Rule(
      name: "no threads and files but the environment's", folders: ["System", "Sim"],
      pattern: #"\b(DispatchQueue|Thread|pthread_\w+|FileManager|ProcessInfo|getenv|fopen)\b"#,
      unless: "// The one place where a thread begins.",
      example: "DispatchQueue.main.async {"),
    Rule(
      name: "no global mutable state", folders: ["System", "Sim"],
      pattern:
        #"^(\s*(public |private |fileprivate |package )?(nonisolated\(unsafe\) )?static var \w+( *:[^{]*)?( =.*)?$|(private |public |fileprivate )?(nonisolated\(unsafe\) )?var )"#,
      unless: nil, example: "  static var count = 0"),
    Rule(
      name: "no order from a Dictionary or a Set", folders: ["System", "Sim"],
      pattern: #"\.(keys|values)\b(?!\.(sorted|contains|count)| = values)"#, unless: "in any order",
      example: "for name in names.keys {"),
    Rule(
      name: "no decision by an array's capacity: the allocator chooses it", folders: ["System", "Sim"],
      pattern: #"\.capacity\b"#, unless: nil, example: "if output.capacity > 4096 {"),
    Rule(
      name: "no await in wire formats", folders: ["System/Wire"], pattern: #"(^|[^-\w])(await|async)\b"#, unless: "///",
      example: "  func read() async {"),
    Rule(
      name: "no TODO", folders: ["System", "Sim", "Runner"], pattern: #"\b(TODO|FIXME|XXX|HACK)\b"#,
      unless: nil, example: "// TODO: later"),
    Rule(
      name: "no print in the system", folders: ["System", "Sim"], pattern: #"(^|[^.\w])print\("#, unless: nil,
      example: "    print(x)"),
  ]

  static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  static func files(under folder: String) throws -> [(name: String, lines: [String])] {
    let base = root.appending(path: folder)
    let names = try FileManager.default.subpathsOfDirectory(atPath: base.path).filter { $0.hasSuffix(".swift") }
      .sorted()
    return try names.map { name in
      let text = try String(contentsOf: base.appending(path: name), encoding: .utf8)
      return ("\(folder)/\(name)", text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init))
    }
  }

  @Test("the sources follow each rule, and its example breaks it", arguments: rules)
  func rule(_ rule: Rule) throws {
    // The simple kind treats full stops as word boundaries, as code does.
    let pattern = try Regex(rule.pattern).wordBoundaryKind(.simple)
    #expect(rule.example.contains(pattern), "the rule allows its example")
    for folder in rule.folders {
      let files = try Self.files(under: "Sources/\(folder)")
      #expect(!files.isEmpty)
      for file in files {
        for (number, line) in file.lines.enumerated() where line.contains(pattern) {
          if let unless = rule.unless, line.contains(unless) { continue }
          Issue.record("\(file.name):\(number + 1): \(rule.name): \(line.trimmingCharacters(in: .whitespaces))")
        }
      }
    }
  }

  @Test("a file has at most 400 lines, a function at most 70")
  func sizes() throws {
    for file in try Self.files(under: "Sources") {
      #expect(file.lines.count <= 400, "\(file.name) has \(file.lines.count) lines")
      var start: (line: Int, indent: String)?
      for (number, line) in file.lines.enumerated() {
        let indent = String(line.prefix { $0 == " " })
        if start == nil, line.contains(/\b(func|init)\b.*\{$/) { start = (number, indent) }
        if let begin = start, line == begin.indent + "}" {
          #expect(
            number - begin.line <= 70, "\(file.name):\(begin.line + 1): a function of \(number - begin.line) lines")
          start = nil
        }
      }
    }
  }

  @Test("the folder scenarios has only scenario files")
  func scenarios() throws {
    let names = try FileManager.default.subpathsOfDirectory(atPath: Self.root.appending(path: "scenarios").path)
    let files = names.filter { $0.contains(".") }
    #expect(files.count >= 10)
    for name in files { #expect(name.hasSuffix(".json5"), "\(name)") }
  }
}
