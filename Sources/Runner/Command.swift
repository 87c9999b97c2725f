import Environment
import CLinux
import Glibc
import System

/// The subcommands of `parley`.
enum Command: String, CaseIterable {
  case serve, users, queues, sessions, backup, restore, check, compact
  case simulate, fuzz, explain, explore, diverge, drive
  case hashPassword = "hash-password"
  case completions, manual, version, help

  /// The name under which the user started the program, for the commands that it prints. A script
  /// that starts the program sets `PARLEY_COMMAND` to its own name.
  static let program = getenv("PARLEY_COMMAND").map { String(cString: $0) } ?? CommandLine.arguments.first ?? "parley"

  /// Runs a command line and returns the exit code: 0 success, 1 a failed oracle, 2 a usage or
  /// configuration error.
  static func run(_ arguments: [String]) -> Int32 {
    do throws(UsageError) {
      let code = try runCommand(arguments)
      // An incomplete report looks like a complete one.
      guard parley_flush_stdout() == 0 else { throw UsageError("standard output: write failed") }
      return code
    } catch {
      for line in error.lines { standardError("parley: \(line)") }
      return 2
    }
  }

  private static func runCommand(_ arguments: [String]) throws(UsageError) -> Int32 {
    guard let word = arguments.first else { throw UsageError("missing command; try: parley help") }
    if word == "--help" || word == "-h" { return try HelpCommand.run([]) }
    if word == "--version" { return try runCommand([Command.version.rawValue]) }
    guard let command = Command(rawValue: word) else {
      let hint = Spelling.hint(word, among: allCases.map(\.rawValue))
      throw UsageError("unknown command \"\(word)\"\(hint)")
    }
    let rest = Array(arguments.dropFirst())
    if rest.contains("--help") || rest.contains("-h") { return try HelpCommand.run([word]) }
    switch command {
    case .serve: return try ServeCommand.run(rest)
    case .users, .queues, .sessions: return try ViewCommand.run(command.rawValue, rest)
    case .backup: return try BackupCommand.run(rest)
    case .restore: return try RestoreCommand.run(rest)
    case .check: return try CheckCommand.run(rest)
    case .compact: return try CompactCommand.run(rest)
    case .simulate: return try SimulateCommand.run(rest)
    case .fuzz: return try FuzzCommand.run(rest)
    case .explain: return try ExplainCommand.run(rest)
    case .explore: return try ExploreCommand.run(rest)
    case .diverge: return try DivergeCommand.run(rest)
    case .drive: return try DriveCommand.run(rest)
    case .hashPassword: return try HashPasswordCommand.run(rest)
    case .completions: return try CompletionsCommand.run(rest)
    case .manual: return try ManualCommand.run(rest)
    case .version:
      print("parley \(Release.version)")
      return 0
    case .help: return try HelpCommand.run(rest)
    }
  }
}

/// A usage or configuration error: one line for each fault. The exit code is 2.
struct UsageError: Error {
  let lines: [String]
  var message: String { lines.joined(separator: "\n") }
  init(_ message: String) { lines = [message] }
  init(_ lines: [String]) { self.lines = lines }
}

/// Writes a line to standard error.
func standardError(_ line: String) { writeToStandardError(line + "\n") }

/// Writes text to standard error.
func writeToStandardError(_ text: String) {
  let bytes = Array(text.utf8)
  // Without standard error there is no place to report this.
  _ = write(2, bytes, bytes.count)
}
