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
    let flags = command == .serve ? ServeCommand.documentedFlags : command.flags
    print(command.usage + (flags.isEmpty ? "" : "\n\n" + table(flags)))
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
    parley explore SCENARIO         step through a run in a browser, and branch off
    parley diverge SCENARIO         run twice, and find the first event that differs
    parley drive SCENARIO           run the people of a scenario against live servers
    parley hash-password            hash a password from standard input, as the accounts table stores it
    parley completions SHELL        print completions for bash, zsh or fish
    parley manual                   print the manual page
    parley version                  print the version
    parley help [COMMAND]           explain a command

    Exit codes: 0 success, 1 an oracle failed or data has faults, 2 usage or configuration error.
    """

  private static func table(_ flags: [Flag]) -> String {
    flags.map { flag in
      let left = "  --\(flag.name)" + (flag.placeholder.map { " " + $0 } ?? "")
      return left + String(repeating: " ", count: max(2, 34 - left.count)) + flag.help
    }.joined(separator: "\n")
  }
}
