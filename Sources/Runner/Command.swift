import Environment
import CLinux
import Glibc
import System

/// The subcommands of `parley`.
enum Command: String, CaseIterable {
  case serve, simulate, fuzz, explain, drive
  case hashPassword = "hash-password"
  case version, help

  /// The name under which the user started the program, for the commands that it prints. A script that starts it
  /// sets `PARLEY_COMMAND` to its own name.
  static let program = getenv("PARLEY_COMMAND").map { String(cString: $0) } ?? CommandLine.arguments.first ?? "parley"

  /// Runs the command line and returns the exit code: 0 fine, 1 an oracle failed, 2 usage or configuration.
  static func run(_ arguments: [String]) -> Int32 {
    do throws(UsageError) {
      let code = try runCommand(arguments)
      // A report that is cut off looks like a whole one.
      guard parley_flush_stdout() == 0 else { throw UsageError("standard output: not everything could be written") }
      return code
    } catch {
      for line in error.lines { standardError("parley: \(line)") }
      return 2
    }
  }

  private static func runCommand(_ arguments: [String]) throws(UsageError) -> Int32 {
    guard let word = arguments.first else { throw UsageError("which command? Try: parley help") }
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
    case .simulate: return try SimulateCommand.run(rest)
    case .fuzz: return try FuzzCommand.run(rest)
    case .explain: return try ExplainCommand.run(rest)
    case .drive: return try DriveCommand.run(rest)
    case .hashPassword: return try HashPasswordCommand.run(rest)
    case .version:
      print("parley \(Release.version)")
      return 0
    case .help: return try HelpCommand.run(rest)
    }
  }
}

/// What the user has to mend: a line for each error, mostly one; exit code 2.
struct UsageError: Error {
  let lines: [String]
  var message: String { lines.joined(separator: "\n") }
  init(_ message: String) { lines = [message] }
  init(_ lines: [String]) { self.lines = lines }
}

/// Writes a line to standard error.
func standardError(_ line: String) { writeToStandardError(line + "\n") }

/// Writes text to standard error as it stands.
func writeToStandardError(_ text: String) {
  let bytes = Array(text.utf8)
  // Nobody is left to be told that standard error is gone.
  _ = write(2, bytes, bytes.count)
}
