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
    case .users, .queues, .sessions: print(ViewCommand.usage(command.rawValue) + "\n\n" + table(ViewCommand.flags))
    case .backup: print(BackupCommand.usage + "\n\n" + table(BackupCommand.flags))
    case .restore: print(RestoreCommand.usage + "\n\n" + table(RestoreCommand.flags))
    case .check: print(CheckCommand.usage + "\n\n" + table(CheckCommand.flags))
    case .compact: print(CompactCommand.usage + "\n\n" + table(CompactCommand.flags))
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

    parley serve [SERVICE]…         run services: \(ServeCommand.services.joined(separator: ", ")); default: all
    parley users COMMAND            show accounts and their sessions
    parley queues COMMAND           show queues, messages and dead letters
    parley sessions list            show supervised sessions
    parley backup --to DIR          copy the databases, also while services use them
    parley restore BACKUP           put a backup into a data directory
    parley check [DIR]              check a data directory or a backup
    parley compact                  return free pages of the databases to the file system
    parley simulate PATH…           run scenario files and folders in the simulator
    parley fuzz [SCENARIO]…         draw and run random scenarios, and shrink failures
    parley explain SCENARIO         replay a failure, and draw it as a space-time diagram
    parley drive SCENARIO           run the people of a scenario against live servers
    parley hash-password            hash a password from standard input, as the accounts table stores it
    parley version                  print the version
    parley help [COMMAND]           explain a command

    Exit codes: 0 success, 1 an oracle failed or data has faults, 2 usage or configuration error.
    """

  private static var serve: String {
    let settings = Setting.all.map {
      let standard = $0.standard.map { " (default \($0))" } ?? ""
      return Flag(
        name: $0.flag, placeholder: $0.placeholder, help: "\($0.help)\(standard) [\($0.variable), \($0.key)]")
    }
    return """
      parley serve [SERVICE]… [FLAGS]

      Runs until SIGTERM or SIGINT, then drains: refuses new connections, answers the requests in
      flight for at most 10 s, and closes the databases. Prints `listening NAME URL` for each socket, then `ready`; logs go to standard error.
      In brackets: the environment variable and the key in the JSON5 configuration that set the same value.

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
