import Environment
import Real
import System

/// Copies of databases as of one moment, for commands that only read.
enum CopiedData {
  static let flag = Flag(
    name: "temporary", placeholder: "DIR", help: "where the database is copied to (default TMPDIR or /tmp)")

  /// Copies those of the databases that are in the data directory, of which the first has to be,
  /// and passes the folder of the copies and the databases in it to `body`.
  /// - Throws: `UsageError`, `CopyError`, `UpkeepFailure`; what `body` throws.
  static func read<R>(
    _ databases: [ServiceDatabase], _ arguments: Arguments, _ body: (RealStorage, [ServiceDatabase]) throws -> R
  ) throws -> R {
    let source = try Folder.open(Folder.data(arguments))
    let temporary = try Folder.makeTemporary(in: arguments.value("temporary"))
    defer { Folder.remove(temporary) }
    let copy = try Folder.make(temporary)
    let copied = try DirectoryCopy.make(of: databases, from: source, to: copy)
    guard copied.contains(where: { $0.path == databases[0].path }) else {
      throw UpkeepFailure(["the data directory has no \(databases[0].path)"])
    }
    return try body(copy, copied)
  }
}
