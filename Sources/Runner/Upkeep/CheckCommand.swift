import Environment
import Real
import System

/// `parley check`: checks the databases of a data directory or of a backup.
enum CheckCommand {
  static let usage = """
    parley check [DIR] [--data DIR] [--temporary DIR] [--json]

    Checks the databases of a data directory, also while services use it, or of a backup: that SQLite
    can read every page, that rows refer to rows that exist, that numbers have no gaps and are within
    their bounds, and that the databases agree with each other. Checks the digests of a backup's files.
    Works on a copy of one moment, so it changes nothing and needs as much space as the databases.
    Exit codes: 0 no fault; 1 faults, which are printed; 2 usage error.
    """
  static let flags = [
    Folder.dataFlag,
    Flag(name: "temporary", placeholder: "DIR", help: "where the copy is made (default TMPDIR or /tmp)"),
    Folder.jsonFlag,
  ]

  static func run(_ words: [String]) throws(UsageError) -> Int32 {
    let arguments = try Arguments(words, flags: flags)
    guard arguments.words.count <= 1 else { throw UsageError("check takes one directory") }
    let path = arguments.words.first ?? Folder.data(arguments)
    let source = try Folder.open(path)
    let isBackup = Folder.exists(path + "/" + BackupManifest.name)
    let manifest = isBackup ? try BackupManifest(in: path) : nil
    let temporary = try Folder.makeTemporary(in: arguments.value("temporary"))
    defer { Folder.remove(temporary) }
    let copy = try Folder.make(temporary)
    do throws(UpkeepFailure) {
      let (lines, checked) = try UpkeepFailure.converting { try check(source, manifest, in: copy) }
      if arguments.has("json") {
        let json: JSONValue = [
          "databases": .array(checked.map { .string($0) }), "faults": .array(lines.map { .string($0) }),
        ]
        print(json.text)
      } else {
        print((lines + ["\(checked.count) databases checked, \(lines.count) faults"]).joined(separator: "\n"))
      }
      return lines.isEmpty ? 0 : 1
    } catch {
      return error.report()
    }
  }

  private static func check(
    _ source: RealStorage, _ manifest: BackupManifest?, in copy: RealStorage
  ) throws -> (lines: [String], databases: [String]) {
    let differing = try manifest?.faults(in: source) ?? []
    if !differing.isEmpty { return (differing, []) }
    let databases = try DirectoryCopy.make(from: source, to: copy)
    guard !databases.isEmpty else { throw UpkeepFailure(["the directory has no database"]) }
    return (try DirectoryCheck(of: copy).lines, databases.map(\.path))
  }
}

extension BackupManifest {
  /// The files that are missing or differ from the manifest, a line each.
  func faults(in storage: RealStorage) throws(StorageError) -> [String] {
    var lines: [String] = []
    for file in files {
      if try !storage.exists(file.name) {
        lines.append("\(file.name) is missing")
      } else if try FileDigest(of: file.name, in: storage) != file.digest {
        lines.append("\(file.name) is not the file that was backed up")
      }
    }
    return lines
  }
}
