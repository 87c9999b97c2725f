import Environment
import Glibc
import Real
import System

/// `parley restore`: puts the files of a backup into a data directory.
enum RestoreCommand {
  static let usage = """
    parley restore BACKUP [--data DIR] [--replace] [--dry-run] [--json]

    Checks a backup and puts its files into a data directory, whose services must not run. With
    --replace, databases that are there are moved into the folder replaced-TIME of the directory.
    After an interrupted restore, serve refuses the directory until a restore is complete.
    Exit codes: 0 success; 1 the backup is damaged, or a database is in use; 2 usage error.
    """
  static let flags = [
    Folder.dataFlag,
    Flag(name: "replace", placeholder: nil, help: "set the databases of the data directory aside"),
    Flag(name: "dry-run", placeholder: nil, help: "check the backup and the data directory, and change nothing"),
    Folder.jsonFlag,
  ]

  static func run(_ words: [String]) throws(UsageError) -> Int32 {
    let arguments = try Arguments(words, flags: flags)
    guard let from = arguments.words.first, arguments.words.count == 1 else {
      throw UsageError("restore needs the folder of a backup")
    }
    let manifest = try BackupManifest(in: from)
    let source = try Folder.open(from)
    let data = Folder.trimmed(Folder.data(arguments))
    let restore = Restore(manifest: manifest, source: source, data: data)
    let replaced = try restore.databasesInTheWay()
    if !replaced.isEmpty, !arguments.has("replace") {
      throw UsageError("\(data) has \(replaced.joined(separator: ", ")); --replace sets them aside")
    }
    do throws(UpkeepFailure) {
      try UpkeepFailure.converting {
        try restore.checkBackup()
        if !arguments.has("dry-run") { try restore.run() }
      }
    } catch {
      return error.report()
    }
    print(arguments.has("json") ? manifest.json.text : manifest.table)
    return 0
  }
}
