import Environment
import System

/// `parley sessions end`: asks the User Manager to end a supervised session.
enum EndSessionCommand {
  static let help = "end a session: its users are released, and its customer is told"
  static let flags = [
    Folder.dataFlag, StoredTables.flag,
    Flag(name: "dry-run", placeholder: nil, help: "show what would be done, and change nothing"), Folder.jsonFlag,
  ]

  static func run(_ words: [String]) throws(UsageError) -> Int32 {
    let arguments = try Arguments(words, flags: flags)
    guard arguments.words.count == 2 else { throw UsageError("write: parley sessions end SESSION") }
    do {
      let session = try find(arguments.words[1], arguments)
      if !arguments.has("dry-run") {
        let broker = try OperatedService(.broker, data: Folder.trimmed(Folder.data(arguments)))
        try broker.change { try await $0.endSession(session.id) }
        try broker.close()
      }
      let cells = [session.id.text, session.status, session.customer]
      let names = ["session", "status", "customer"]
      print(
        arguments.has("json")
          ? JSONValue.object(zip(names, cells).map { .init($0, .string($1)) }).text
          : TextTable(names.map { $0.uppercased() }, [cells]).text)
      return 0
    } catch let error as UsageError {
      throw error
    } catch {
      return UpkeepFailure(error).report()
    }
  }

  private typealias Found = (id: SupervisorID, status: String, customer: String)

  /// Finds a session that has not ended, with its status before the command.
  private static func find(_ name: String, _ arguments: Arguments) throws -> Found {
    let list = DirectoryView.all.first { $0.noun == "sessions" && $0.verb == "list" }!
    let rows = try StoredTables.read([list.database], arguments) { try list.rows(in: $0, "", limit: .max) }
    guard let row = rows.first(where: { $0[0].string == name }), let id = SupervisorID(name) else {
      throw UpkeepFailure(["no session \"\(name)\""])
    }
    let status = row[1].string ?? ""
    guard status != "ended" else { throw UpkeepFailure(["the session \(name) has ended already"]) }
    return (id, status, row[2].string ?? "")
  }
}
