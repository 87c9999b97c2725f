import Environment
import System

/// `parley users export`: what the services hold about an account.
enum ExportCommand {
  static let help = "print all data about it as JSON, for its user"
  static let flags = [Folder.dataFlag, StoredTables.flag]

  static func run(_ words: [String]) throws(UsageError) -> Int32 {
    let arguments = try Arguments(words, flags: flags)
    guard arguments.words.count == 2 else { throw UsageError("write: parley users export USER") }
    do {
      let json = try StoredTables.read(AccountExport.databases, arguments) { tables in
        try AccountExport.make(of: arguments.words[1], in: tables)
      }
      print(json.text)
      return 0
    } catch let error as UsageError {
      throw error
    } catch {
      return UpkeepFailure(error).report()
    }
  }
}
