import Environment
import Real
import System

/// `parley compact`: returns the free pages of the databases to the file system.
enum CompactCommand {
  static let usage = """
    parley compact [--data DIR] [--json]

    Writes each database of a data directory again without its free pages. The services must not run.
    Needs space for a copy of the largest database. An interrupted run changes nothing.
    Exit codes: 0 success; 1 a database is in use or cannot be read; 2 usage error.
    """
  static let flags = [Folder.dataFlag, Folder.jsonFlag]

  static func run(_ words: [String]) throws(UsageError) -> Int32 {
    let arguments = try Arguments(words, flags: flags)
    guard arguments.words.isEmpty else { throw UsageError("compact takes no \"\(arguments.words[0])\"") }
    let storage = try Folder.open(Folder.data(arguments))
    do throws(UpkeepFailure) {
      let done = try UpkeepFailure.converting {
        try DataDirectory.databases(in: storage).map { ($0.path, try $0.compact(in: storage)) }
      }
      if arguments.has("json") {
        let files = done.map { name, sizes -> JSONValue in
          ["name": .string(name), "before": .int(sizes.before), "after": .int(sizes.after)]
        }
        print((["files": .array(files)] as JSONValue).text)
      } else {
        let rows = done.map { [$0, "\($1.before)", "\($1.after)"] }
        print(TextTable(["FILE", "BYTES BEFORE", "AFTER"], rows, numbers: [1, 2]).text)
      }
      return 0
    } catch {
      return error.report()
    }
  }
}
