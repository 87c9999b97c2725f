import Environment
import Glibc
import Real
import System

/// `parley backup`: copies the databases and keys of a data directory, also while services use it.
enum BackupCommand {
  static let usage = """
    parley backup --to DIR [--data DIR] [--json]

    Copies the databases and keys of a data directory into a new folder. The services may run: the copy
    has the state of one moment in all databases. Checks the copy before the folder gets its name.
    Exit codes: 0 success; 1 the backup exists, but its data breaks a promise, or no backup was made
    because a file cannot be read; 2 usage error.
    """
  static let flags = [
    Flag(name: "to", placeholder: "DIR", help: "the new folder of the backup"), Folder.dataFlag, Folder.jsonFlag,
  ]

  static func run(_ words: [String]) throws(UsageError) -> Int32 {
    let arguments = try Arguments(words, flags: flags)
    guard arguments.words.isEmpty else { throw UsageError("backup takes no \"\(arguments.words[0])\"; try: --to DIR") }
    guard let named = arguments.value("to") else { throw UsageError("backup needs --to DIR") }
    let to = Folder.trimmed(named)
    if Folder.exists(to) { throw UsageError("--to \(to) exists; a backup is a new folder") }
    let source = try Folder.open(Folder.data(arguments))
    let partial = "\(to).partial-\(getpid())"
    let target = try Folder.make(partial)
    let result: (manifest: BackupManifest, check: DirectoryCheck)
    do throws(UpkeepFailure) {
      result = try copy(source, to: target)
    } catch {
      Folder.remove(partial)
      standardError("parley: no backup was made")
      return error.report()
    }
    try Folder.rename(partial, to: to)
    print(arguments.has("json") ? result.manifest.json.text : result.manifest.table)
    for line in result.check.lines { standardError("parley: \(line)") }
    return result.check.isSound ? 0 : 1
  }

  private static func copy(
    _ source: RealStorage, to target: RealStorage
  ) throws(UpkeepFailure) -> (BackupManifest, DirectoryCheck) {
    var manifest = BackupManifest()
    return try UpkeepFailure.converting {
      for name in DataDirectory.otherFiles where try source.exists(name) {
        manifest.files.append((name, try FileDigest.copying(name, from: source, to: target)))
      }
      let databases = try DirectoryCopy.make(from: source, to: target)
      guard !databases.isEmpty else { throw UpkeepFailure(["the data directory has no database"]) }
      let check = try DirectoryCheck(of: target)
      if check.isDamaged { throw UpkeepFailure(check.lines) }
      for database in databases {
        // The check has copied the log into the database.
        if try target.exists(database.path + "-wal") { try target.remove(database.path + "-wal") }
        manifest.files.append((database.path, try FileDigest(of: database.path, in: target)))
      }
      try target.write(Array(manifest.json.text.utf8) + [10], to: BackupManifest.name)
      try target.syncDirectory()
      return (manifest, check)
    }
  }
}

extension Storage {
  /// Writes a small file and syncs it. Its name is synced by the caller.
  func write(_ bytes: [UInt8], to path: String) throws(StorageError) {
    let file = try open(path, create: true)
    defer { file.close() }
    try file.truncate(to: 0)
    var failure: StorageError?
    bytes.withUnsafeBytes { bytes in
      do throws(StorageError) { try file.write(bytes, at: 0) } catch { failure = error }
    }
    if let failure { throw failure }
    try file.sync()
  }
}
