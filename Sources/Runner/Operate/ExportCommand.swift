import Environment
import System

/// `parley users export`: what the databases hold about an account.
enum ExportCommand {
  static let help = "print all data about it as JSON, for its user"
  static let flags = [Folder.dataFlag, CopiedData.flag]

  static func run(_ words: [String]) throws(UsageError) -> Int32 {
    let arguments = try Arguments(words, flags: flags)
    guard arguments.words.count == 2 else { throw UsageError("write: parley users export USER") }
    do {
      let json = try CopiedData.read(AccountExport.databases, arguments) { copy, _ in
        try AccountExport.make(of: arguments.words[1], in: copy)
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
