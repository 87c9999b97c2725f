import Sim
import System

/// The results of `simulate` for other programs: JUnit's XML, JSON, and the annotations of GitHub's
/// and Gitea's runners.
struct ResultFiles {
  let scenarios: [SimulationReport.Entry]
  let summaries: [ScenarioSummary]
  let results: [[RunResult]]
  let deaths: [Workers.Crash]
  let options: SimulateCommand.Options

  private func groups(_ index: Int) -> [FailureGroup] {
    FailureGroup.all(summaries[index], deaths: deaths.filter { $0.index == index })
  }

  private func unreached(_ index: Int) -> [String] {
    let summary = summaries[index]
    return (summary.isJudged ? summary.unreached : []) + summary.chancy
  }

  /// A report in JUnit's format: a suite for each scenario, and a case for each seed. A goal that
  /// was not reached, and a planted bug that was not found, are failed cases of their own.
  var junit: String {
    var text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"parley\">\n"
    for (index, entry) in scenarios.enumerated() {
      let file = XML.attribute(entry.file)
      var cases: [String] = []
      var failed = 0
      func add(_ name: String, failure: (message: String, text: String)?) {
        let head = "    <testcase classname=\(file) name=\(XML.attribute(name))"
        guard let failure else { return cases.append(head + "/>") }
        failed += 1
        cases.append(
          head + ">\n      <failure message=\(XML.attribute(failure.message))>\(XML.text(failure.text))</failure>\n"
            + "    </testcase>")
      }
      // A planted bug that is found is no failure.
      let fails = entry.scenario.fails.isEmpty
      for result in results[index] {
        let lines = fails ? result.violations.map(\.description) : []
        let message = fails ? result.violations.first.map { "\($0.oracle): \($0.promise)" } : nil
        add("seed \(result.seed)", failure: message.map { ($0, lines.joined(separator: "\n")) })
      }
      for group in groups(index) where group.seeds.isEmpty || group.oracle == nil || group.oracle == "no-trap" {
        let text = group.lines.joined(separator: "\n")
        for seed in group.seeds where !results[index].contains(where: { $0.seed == seed }) {
          add("seed \(seed)", failure: (text, text))
        }
        if group.seeds.isEmpty { add("planted bug", failure: (text, text)) }
      }
      for goal in unreached(index) { add("reached", failure: (goal, goal)) }
      let head =
        "  <testsuite name=\(XML.attribute(entry.scenario.name)) tests=\"\(cases.count)\" failures=\"\(failed)\">"
      text += head + "\n" + cases.joined(separator: "\n") + (cases.isEmpty ? "" : "\n") + "  </testsuite>\n"
    }
    return text + "</testsuites>\n"
  }

  /// A report as JSON: for each scenario its runs, counters, failures by cause, and goals that were
  /// not reached.
  var json: JSONValue {
    let entries = scenarios.indices.map { index -> JSONValue in
      let (entry, summary) = (scenarios[index], summaries[index])
      let failures = groups(index).map { group -> JSONValue in
        [
          "oracle": group.oracle.map(JSONValue.string) ?? .null, "lines": .array(group.lines.map(JSONValue.string)),
          "seeds": .array(group.seeds.map { .int(Int64($0)) }), "replay": .string(group.replay(entry.file, options)),
          "explain": .string(group.explain(entry.file, options)),
        ]
      }
      let counts = Counter.allCases.compactMap { counter in
        summary.counts[counter].map { JSONValue.Member(counter.rawValue, .int(Int64($0))) }
      }
      return [
        "file": .string(entry.file), "name": .string(entry.scenario.name), "runs": .int(Int64(summary.runs)),
        "steps": .int(Int64(summary.steps)), "counts": .object(counts), "failures": .array(failures),
        "unreached": .array(unreached(index).map(JSONValue.string)),
      ]
    }
    let failed = summaries.reduce(deaths.count) { $0 + $1.failed }
    let passed = summaries.reduce(0) { $0 + $1.runs - $1.failed }
    return ["passed": .int(Int64(passed)), "failed": .int(Int64(failed)), "scenarios": .array(entries)]
  }

  /// Workflow commands that annotate the scenario files: one for each cause of failures and for
  /// each goal that was not reached.
  var annotations: [String] {
    scenarios.indices.flatMap { index -> [String] in
      let file = scenarios[index].file
      let failures = groups(index).map { group in
        let seeds = group.seeds.isEmpty ? "" : "\nseeds \(FailureReport.list(group.seeds))"
        return (
          group.oracle ?? "failed", group.lines.joined(separator: "\n") + seeds + "\n" + group.explain(file, options)
        )
      }
      let goals = unreached(index).map { ("not reached", $0) }
      return (failures + goals).map { title, text in
        "::error file=\(Self.property(file)),title=\(Self.property(title))::\(Self.data(text))"
      }
    }
  }

  /// Escapes the text of a workflow command.
  private static func data(_ text: String) -> String {
    text.replacing("%", with: "%25").replacing("\r", with: "%0D").replacing("\n", with: "%0A")
  }

  private static func property(_ text: String) -> String {
    data(text).replacing(":", with: "%3A").replacing(",", with: "%2C")
  }
}

/// Text in XML. Characters that XML 1.0 does not have are replaced.
private enum XML {
  static func text(_ text: String) -> String {
    String(
      String.UnicodeScalarView(
        text.unicodeScalars.map { scalar in
          let isCharacter = scalar.value >= 0x20 && scalar.value != 0xFFFE && scalar.value != 0xFFFF
          return isCharacter || scalar == "\n" || scalar == "\t" ? scalar : "\u{FFFD}"
        })
    ).replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
  }

  static func attribute(_ text: String) -> String {
    "\"" + self.text(text).replacing("\"", with: "&quot;").replacing("\n", with: "&#10;").replacing("\t", with: "&#9;")
      + "\""
  }
}
