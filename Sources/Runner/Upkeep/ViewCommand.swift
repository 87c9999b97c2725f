import Environment
import System

/// `parley users`, `parley queues` and `parley sessions`: tables of what the services have, and
/// changes.
enum ViewCommand {
  private static let viewFlags = [
    Folder.dataFlag, Flag(name: "limit", placeholder: "N", help: "the most rows (default 100)"),
    StoredTables.flag, Folder.jsonFlag,
  ]

  /// The commands that change something: their words, their argument, and a description.
  private static func changes(_ noun: String) -> [(words: String, argument: String?, help: String)] {
    switch noun {
    case "users":
      AccountCommand.all.map { ($0.verb, "USER", $0.help) }
        + [("erase", "USER", EraseCommand.help), ("export", "USER", ExportCommand.help)]
    case "sessions": [("end", "SESSION", EndSessionCommand.help)]
    case "queues": QueueCommand.allCases.map { ($0.rawValue, $0.argument, $0.help) }
    default: []
    }
  }

  /// Runs a command that changes something; nil if the words are no such command.
  private static func change(_ noun: String, _ found: [String], _ words: [String]) throws(UsageError) -> Int32? {
    switch noun {
    case "users" where found.first == "export": try ExportCommand.run(words)
    case "users" where found.first == "erase": try EraseCommand.run(words)
    case "sessions" where found.first == "end": try EndSessionCommand.run(words)
    case "users": try AccountCommand.all.first { $0.verb == found.first }?.run(words)
    case "queues": try QueueCommand(found)?.run(words)
    default: nil
    }
  }

  /// The second words of the command.
  static func verbs(_ noun: String) -> [String] {
    DirectoryView.all.filter { $0.noun == noun }.map(\.verb)
      + changes(noun).map(\.words).filter { !$0.contains(" ") }
  }

  /// The flags of all commands of a noun.
  static func flags(_ noun: String) -> [Flag] {
    let more = noun == "queues" ? QueueCommand.flags : AccountCommand.flags
    return viewFlags + more.filter { flag in !viewFlags.contains { $0.name == flag.name } }
  }

  static func usage(_ noun: String) -> String {
    let views = DirectoryView.all.filter { $0.noun == noun }
    func line(_ verb: String, _ argument: String?, _ help: String) -> String {
      let command = "parley \(noun) \(verb)" + (argument.map { " " + $0 } ?? "")
      return command + String(repeating: " ", count: max(2, 32 - command.count)) + help
    }
    let changes = changes(noun)
    var usage = """
      parley \(noun) COMMAND [--data DIR] [--limit N] [--json]

      \(views.map { line($0.verb, $0.argument, $0.help) }.joined(separator: "\n"))

      Reads the tables as of one moment, also while services use them, and changes nothing: a copy of the
      file, or PostgreSQL if the configuration names it.
      """
    if !changes.isEmpty {
      usage += """


        \(changes.map { line($0.words, $0.argument, $0.help) }.joined(separator: "\n"))

        These ask the service that runs, or start one if none does, and they need the rights of the owner of
        the data directory. --dry-run changes nothing.
        """
    }
    return usage + """

      Exit codes: 0 success; 1 the argument names nothing, or the command failed; 2 usage error.
      """
  }

  static func run(_ noun: String, _ words: [String]) throws(UsageError) -> Int32 {
    let all = try Arguments(words, flags: flags(noun))
    if let code = try change(noun, all.words, words) { return code }
    let arguments = try Arguments(words, flags: viewFlags)
    let views = DirectoryView.all.filter { $0.noun == noun }
    guard let verb = arguments.words.first else {
      throw UsageError("\(noun) needs a command: \(verbs(noun).joined(separator: ", "))")
    }
    guard let view = views.first(where: { $0.verb == verb }) else {
      let hint = Spelling.hint(verb, among: verbs(noun))
      throw UsageError("\(noun) has no command \"\(verb)\"\(hint)")
    }
    guard arguments.words.count == (view.argument == nil ? 1 : 2) else {
      throw UsageError("write: parley \(noun) \(verb)" + (view.argument.map { " " + $0 } ?? ""))
    }
    let limit = try arguments.int("limit", in: 1...1_000_000) ?? 100
    do {
      let rows = try StoredTables.read([view.database], arguments) { tables in
        try view.rows(in: tables, arguments.words.last!, limit: limit)
      }
      print(arguments.has("json") ? json(rows, view).text : table(rows, view).text)
      return 0
    } catch let error as UsageError {
      throw error
    } catch {
      return UpkeepFailure(error).report()
    }
  }

  /// An array with an object for each row.
  private static func json(_ rows: [[JSONValue]], _ view: DirectoryView) -> JSONValue {
    .array(
      rows.map { row in
        .object(zip(view.columns, row).map { JSONValue.Member($0.lowercased(), $1) })
      })
  }

  private static func table(_ rows: [[JSONValue]], _ view: DirectoryView) -> TextTable {
    let numbers = view.columns.indices.filter { column in
      !rows.isEmpty && rows.allSatisfy { if case .int = $0[column] { true } else { false } }
    }
    let cells = rows.map { row in
      row.map { cell -> String in
        switch cell {
        case .string(let text): text
        default: cell.text
        }
      }
    }
    return TextTable(view.columns, cells, numbers: Set(numbers))
  }
}
