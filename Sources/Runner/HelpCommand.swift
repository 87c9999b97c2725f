import Environment

/// `parley help [COMMAND]`.
enum HelpCommand {
  static func run(_ words: [String]) throws(UsageError) -> Int32 {
    guard let word = words.first else {
      print(overview)
      return 0
    }
    guard words.count == 1, let command = Command(rawValue: word) else {
      throw UsageError("no help for \"\(words.joined(separator: " "))\"")
    }
    switch command {
    case .serve: print(serve)
    case .simulate: print(SimulateCommand.usage + "\n\n" + table(SimulateCommand.flags))
    case .fuzz: print(FuzzCommand.usage + "\n\n" + table(FuzzCommand.flags))
    case .explain: print(ExplainCommand.usage + "\n\n" + table(ExplainCommand.flags))
    case .drive: print(DriveCommand.usage + "\n\n" + table(DriveCommand.flags))
    case .hashPassword: print(HashPasswordCommand.usage)
    case .version: print("parley version\n\nPrints the version.")
    case .help: print("parley help [COMMAND]\n\nExplains a command.")
    }
    return 0
  }

  private static let overview = """
    parley: a session and chat platform that runs for real or inside a deterministic simulator

    parley serve [SERVICE]…         serve: \(ServeCommand.services.joined(separator: ", ")); all of them without a name
    parley simulate PATH…           run scenario files, and folders of them, in the simulator
    parley fuzz [SCENARIO]…         draw scenarios, run them, shrink what fails
    parley explain SCENARIO         replay a failure: its story, and the run as a space-time diagram
    parley drive SCENARIO           the people of a scenario against live servers
    parley hash-password            hash a password from standard input, as the accounts table stores it
    parley version                  print the version
    parley help [COMMAND]           explain a command

    Exit codes: 0 fine, 1 an oracle failed, 2 usage or configuration.
    """

  private static var serve: String {
    let settings = Setting.all.map {
      let standard = $0.standard.map { " (default \($0))" } ?? ""
      return Flag(
        name: $0.flag, placeholder: $0.placeholder, help: "\($0.help)\(standard) [\($0.variable), \($0.key)]")
    }
    return """
      parley serve [SERVICE]… [FLAGS]

      Serves until SIGTERM or SIGINT, then drains: no new connections, requests in flight are answered (at most 10 s),
      the databases are closed. Prints `listening NAME URL` for each socket, then `ready`; logs go to standard error.
      In brackets: the environment variable and the key of the JSON5 configuration that say the same as the flag.

      \(table(settings + ServeCommand.flags))
      """
  }

  private static func table(_ flags: [Flag]) -> String {
    flags.map { flag in
      let left = "  --\(flag.name)" + (flag.placeholder.map { " " + $0 } ?? "")
      return left + String(repeating: " ", count: max(2, 34 - left.count)) + flag.help
    }.joined(separator: "\n")
  }
}
