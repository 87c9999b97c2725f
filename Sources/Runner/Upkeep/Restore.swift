import Environment
import Glibc
import Real
import System

/// The files of a backup on their way into a data directory.
struct Restore {
  /// A file that is in a data directory while its files belong to two states. `serve` refuses it.
  static let marker = "restore-incomplete"

  let manifest: BackupManifest
  let source: RealStorage
  let data: String

  /// The databases that the data directory has.
  func databasesInTheWay() throws(UsageError) -> [String] {
    guard Folder.exists(data) else { return [] }
    let storage = try Folder.open(data)
    do throws(StorageError) { return try DataDirectory.databases(in: storage).map(\.path) } catch {
      throw UsageError("\(data): \(ServeCommand.describe(error))")
    }
  }

  /// Compares the files of the backup with its manifest.
  func checkBackup() throws {
    let faults = try manifest.faults(in: source)
    if !faults.isEmpty { throw UpkeepFailure(faults) }
  }

  /// Puts the files into the data directory. A step at a time, each durable before the next: copies
  /// beside the old files, the marker, the old files set aside, the copies in their place, no
  /// marker.
  func run() throws {
    let target = try Folder.make(data)
    let held = try lockDatabases(of: target)
    defer { for file in held { file.close() } }
    let staging = try stage()
    try target.write([], to: Self.marker)
    try target.syncDirectory()
    try setAside(target)
    for file in manifest.files { try target.rename("\(Self.staging)/\(file.name)", to: file.name) }
    try staging.syncDirectory()
    try target.syncDirectory()
    try target.remove(Self.marker)
    try target.syncDirectory()
    Folder.remove("\(data)/\(Self.staging)")
  }

  private static let staging = "restoring"

  /// Locks the databases that are there, so that no service uses them.
  private func lockDatabases(of target: RealStorage) throws(StorageError) -> [any File] {
    var files: [any File] = []
    for database in try DataDirectory.databases(in: target) {
      let file = try target.open(database.path, create: false)
      try file.lock()
      files.append(file)
    }
    return files
  }

  /// Copies the files into a folder of the data directory, and checks the copies.
  private func stage() throws -> RealStorage {
    let path = "\(data)/\(Self.staging)"
    if Folder.exists(path) { Folder.remove(path) }
    let staging = try Folder.make(path)
    for file in manifest.files {
      let digest = try FileDigest.copying(file.name, from: source, to: staging)
      guard digest == file.digest else { throw UpkeepFailure(["\(file.name) is not the file that was backed up"]) }
    }
    let check = try DirectoryCheck(of: staging)
    if check.isDamaged {
      Folder.remove(path)
      throw UpkeepFailure(check.lines)
    }
    for line in check.lines { standardError("parley: \(line)") }
    for database in DataDirectory.databases where try staging.exists(database.path + "-wal") {
      try staging.remove(database.path + "-wal")
    }
    for file in manifest.files { giveToOwner("\(path)/\(file.name)") }
    try staging.syncDirectory()
    return staging
  }

  /// Moves the files that are in the way, and the logs that belong to them, into a folder.
  private func setAside(_ target: RealStorage) throws {
    let names = DataDirectory.databases.flatMap { [$0.path, $0.path + "-wal"] } + manifest.files.map(\.name)
    var moved: Set<String> = []
    for name in names where try !moved.contains(name) && target.exists(name) { moved.insert(name) }
    guard !moved.isEmpty else { return }
    let time = Timestamp(microseconds: Int64(time(nil)) * 1_000_000).rfc3339
    var folder = "replaced-\(time.replacing(":", with: "-"))"
    while Folder.exists("\(data)/\(folder)") { folder += "-again" }
    let aside = try Folder.make("\(data)/\(folder)")
    giveToOwner("\(data)/\(folder)")
    for name in moved.sorted() { try target.rename(name, to: "\(folder)/\(name)") }
    try aside.syncDirectory()
    try target.syncDirectory()
  }

  /// Gives a file that root has made to the owner of the data directory, as which the services run.
  private func giveToOwner(_ path: String) {
    guard geteuid() == 0 else { return }
    var status = stat()
    guard stat(data, &status) == 0, chown(path, status.st_uid, status.st_gid) == 0 else {
      return standardError("parley: \(path) still belongs to root: \(String(cString: strerror(errno)))")
    }
  }
}
