@testable import Environment
import Foundation
import Glibc
import Testing

/// `simulate`, `fuzz` and `explain`, as a user sees them.
@Suite("The commands of the simulator")
struct SimulatorCommandTests {
  private static let binary = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(
    path: "parley")
  private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()
  private static let lesson = "scenarios/lessons/dropped-on-any-disconnect.json5"

  private func parley(_ arguments: String...) throws -> FinishedProcess {
    try FinishedProcess(Self.binary, arguments, in: Self.root)
  }

  private func shell(_ command: String) throws -> FinishedProcess {
    try FinishedProcess(
      URL(filePath: "/bin/sh"), ["-c", command], in: Self.root, environment: ["PARLEY_BINARY": Self.binary.path])
  }

  private func withFolder(_ body: (URL) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "parley-sim-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(folder)
  }

  @Test(
    "invalid arguments are one line, with exit code 2",
    arguments: [
      ["simulate", "scenarios", "--seeds", "1...18446744073709551615"], ["simulate", "scenarios", "--seeds", "5"],
      ["simulate", "scenarios", "--seeds", "-1...5"], ["simulate", "scenarios", "--seeds", "1...9223372036854775807"],
      ["simulate", "scenarios", "--seeds", "1...2...3"], ["simulate", "scenarios", "--seeds", "..."],
      ["simulate", "scenarios", "--seed", "-1"], ["simulate", "scenarios", "--seed", "18446744073709551615"],
      ["simulate", "scenarios", "--jobs", "0"], ["simulate", "scenarios", "--jobs", "257"],
      ["simulate", "scenarios", "--strategy", "best"], ["simulate", "scenarios", "--seed", "1", "--seeds", "1...2"],
      ["simulate", "scenarios", "--trace", "t"], ["simulate", "scenarios", "--preemptions", "1"],
      ["simulate", "scenarios", "--strategy", "exhaustive", "--schedules", "0"],
      ["simulate", "scenarios", "--worker", "3/2/0"], ["simulate", "scenarios", "--worker", "0/1/-1"],
      ["simulate", "/dev/null"], ["simulate", "/tmp/../nowhere"], ["simulate", ""],
      ["fuzz", "--time", "0s"], ["fuzz", "--time", "-1s"], ["fuzz", "--seeds", "0"], ["fuzz", "--seeds", "9...1"],
      ["fuzz", "--jobs", "0"], ["fuzz", "--first", "-1"], ["fuzz", "--first", "1e9"], ["fuzz", "--plant", "nothing"],
      ["fuzz", "--time", "1s", "--seeds", "1"], ["fuzz", "--out", "/dev/null"], ["fuzz", "--out", "/proc/x"],
      ["fuzz", "nowhere.json5"], ["fuzz", "--shrink-time", "soon"],
      ["explain"], ["explain", "a", "b"], ["explain", "nowhere"], ["explain", "scenarios"],
      ["explain", lesson, "--seed", "x"], ["explain", lesson, "--quick", "--html", "/proc/x"],
      ["explain", lesson, "--quick", "--html", "/dev/full"],
      ["explain", lesson, "--why", "--seed", "1"], ["explain", lesson, "--seeds", "1...2"],
      ["explain", lesson, "--time", "0s"],
      ["diverge"], ["diverge", "nowhere"], ["diverge", lesson, "--with", "/nowhere"],
      ["drive"], ["drive", lesson], ["drive", lesson, "--against", "nowhere:x"],
      ["drive", lesson, "--against", "http://127.0.0.1:1", "--people", "0"],
      ["drive", lesson, "--against", "http://127.0.0.1:1", "--time", "0s"],
    ])
  func refused(arguments: [String]) throws {
    let outcome = try FinishedProcess(Self.binary, arguments, in: Self.root)
    #expect(outcome.code == 2)
    #expect(outcome.errors.hasPrefix("parley: ") && outcome.errors.split(separator: "\n").count == 1)
  }

  @Test("an empty or incomplete file is an error with its position, in every command")
  func early() throws {
    try withFolder { folder in
      for (text, place) in [("", "1:1"), ("{\n  name:", "2:8"), ("{\n  run: -", "2:8"), ("{ name: 'x", "1:9")] {
        let file = folder.appending(path: "early.json5").path
        try Data(text.utf8).write(to: URL(filePath: file))
        for command in [
          ["simulate", file], ["fuzz", file], ["explain", file], ["serve", "--check", "--config", file],
        ] {
          let outcome = try FinishedProcess(Self.binary, command, in: folder)
          #expect(outcome.code == 2)
          #expect(outcome.errors.hasPrefix("parley: \(file):\(place): "), "\(command): \(outcome.errors)")
          #expect(outcome.errors.split(separator: "\n").count == 1)
        }
      }
    }
  }

  @Test("one run reports the errors of all files")
  func allFiles() throws {
    try withFolder { folder in
      try Data("{ name: 'x', run: 'soon', peple: [] }".utf8).write(to: folder.appending(path: "a.json5"))
      try Data("{ name: 'y'".utf8).write(to: folder.appending(path: "b.json5"))
      let outcome = try parley("simulate", folder.path)
      #expect(outcome.code == 2)
      let lines = outcome.errors.split(separator: "\n")
      #expect(lines.count == 3 && lines.allSatisfy { $0.hasPrefix("parley: \(folder.path)/") }, "\(outcome.errors)")
    }
  }

  @Test(
    "a failed write is an error",
    arguments: [
      "simulate \(lesson) --trace /dev/full", "simulate \(lesson) > /dev/full",
      "simulate \(lesson) --hashes > /dev/full",
      "simulate \(lesson) --trace - > /dev/full", "explain \(lesson) --quick --html /dev/full", "help > /dev/full",
      "version > /dev/full", "explain \(lesson) --quick --html /dev/null > /dev/full",
    ])
  func unwritten(command: String) throws {
    let outcome = try shell("\"$PARLEY_BINARY\" \(command)")
    #expect(outcome.code == 2)
    #expect(outcome.errors.contains("parley: "))
  }

  @Test("a closed pipe is an error, too", arguments: ["help", "simulate \(lesson) --hashes"])
  func closedPipe(command: String) throws {
    // The reader has gone when the shell can write no more.
    let outcome = try shell(
      "trap '' PIPE; { while echo 2> /dev/null; do :; done; \"$PARLEY_BINARY\" \(command); echo $? >&2; } | true")
    #expect(
      outcome.errors.hasSuffix("parley: standard output: write failed\n2\n"), "\(outcome.errors)")
  }

  @Test("--trace - writes the events to standard output, before the report")
  func traceToOutput() throws {
    try withFolder { folder in
      let file = folder.appending(path: "t.jsonl").path
      #expect(try parley("simulate", Self.lesson, "--trace", file).code == 0)
      let outcome = try FinishedProcess(
        Self.binary, ["simulate", Self.root.appending(path: Self.lesson).path, "--trace", "-"], in: folder)
      #expect(outcome.code == 0)
      #expect(outcome.output.hasPrefix(try String(contentsOfFile: file, encoding: .utf8)))
      #expect(outcome.output.hasSuffix("1 passed, 0 failed\n"))
      #expect(!FileManager.default.fileExists(atPath: folder.appending(path: "-").path))
    }
  }

  @Test("seeds that fail alike are reported once, with their number")
  func grouped() throws {
    try withFolder { folder in
      let file = folder.appending(path: "fails.json5").path
      try Data(
        "{ name: 'fails', run: '1s', grace: '1ms', people: [{ name: 'ann', thinkTime: '20ms' }] }".utf8
      )
      .write(to: URL(filePath: file))
      let outcome = try parley("simulate", file, "--seeds", "1...10", "--jobs", "1")
      #expect(outcome.code == 1)
      #expect(outcome.output.hasSuffix("0 passed, 10 failed\n"), "\(outcome.output)")
      #expect(outcome.output.contains("10 seeds failed alike: 1...10"))
      #expect(outcome.output.split(separator: "\n").count < 20)
      #expect(outcome.output.contains("replay: \(Self.binary.path) simulate \(file) --seed 1\n"))
    }
  }

  @Test("a lesson runs with its own seed, whatever seeds are requested")
  func lessons() throws {
    let outcome = try parley("simulate", Self.lesson, "--seeds", "1...200", "--jobs", "2")
    #expect(outcome.code == 0, "\(outcome.output)")
    #expect(outcome.output.contains("1 of the scenarios is about one seed"))
    #expect(outcome.output.hasSuffix("1 passed, 0 failed\n"))
  }

  @Test("explain reports a run that kills its process, with the backtrace")
  func explainsTraps() throws {
    try withFolder { folder in
      let file = folder.appending(path: "traps.json5").path
      let people = "people: [{ name: 'ann', count: 3, thinkTime: '200ms' }]"
      try Data("{ name: 'traps', run: '20s', plant: ['users.traps'], \(people) }".utf8).write(to: URL(filePath: file))
      let page = folder.appending(path: "page.html").path
      for more in [["--quick"], ["--seed", "2", "--time", "2s"]] {
        let outcome = try FinishedProcess(Self.binary, ["explain", file, "--html", page] + more, in: folder)
        #expect(outcome.code == 0, "\(outcome.errors)")
        #expect(outcome.output.contains("Promised (no-trap): the process does not die."))
        #expect(outcome.output.contains("the process dies"))
        #expect(outcome.output.contains("users: GET /get-sessions"), "\(outcome.output)")
      }
      #expect(try String(contentsOfFile: page, encoding: .utf8).contains("no-trap"))
    }
  }

  @Test("Ctrl-C ends a search or a simulation with its totals", arguments: ["INT", "TERM"])
  func interrupted(signal: String) throws {
    try withFolder { folder in
      // Job control gives the command its own process group, which a terminal's Ctrl-C reaches as a
      // whole.
      let script = """
        set -m
        "$PARLEY_BINARY" fuzz --time 10m --jobs 2 --out "$0" > "$0/log" 2> "$0/errors" &
        until grep -q "scenarios starting with" "$0/log" || ! kill -0 $!; do sleep 0.05; done
        kill -\(signal) -$!; wait $!; echo "code $?"; cat "$0/log"
        """
      let outcome = try FinishedProcess(
        URL(filePath: "/bin/bash"), ["-c", script, folder.path], in: Self.root,
        environment: ["PARLEY_BINARY": Self.binary.path])
      #expect(outcome.output.hasPrefix("code 0\n") || outcome.output.hasPrefix("code 1\n"), "\(outcome.output)")
      #expect(outcome.output.contains("\ninterrupted\n"))
      let last = outcome.output.split(separator: "\n").last ?? ""
      #expect(last.wholeMatch(of: /\d+ passed, \d+ failed/) != nil, "\(outcome.output)")
      #expect(FileManager.default.fileExists(atPath: folder.appending(path: "index.html").path))
    }
  }
}
