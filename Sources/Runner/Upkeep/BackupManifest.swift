import Environment
import Glibc
import System

/// The list of a backup's files, which makes a folder a backup.
struct BackupManifest {
  static let name = "backup.json"

  /// The version of the manifest's format.
  private static let format: Int64 = 1

  let madeAt: String
  let release: String
  var files: [(name: String, digest: FileDigest)] = []

  /// The manifest of a backup that is made now.
  init() {
    madeAt = Timestamp(microseconds: Int64(time(nil)) * 1_000_000).rfc3339
    release = Release.version
  }

  /// Reads the manifest of a backup.
  init(in folder: String) throws(UsageError) {
    let path = folder + "/" + Self.name
    guard let bytes = readFile(path) else { throw UsageError("\(path): \(String(cString: strerror(errno)))") }
    guard let json = try? JSONParser.parse(bytes), json["format"]?.int == Self.format,
      let madeAt = json["madeAt"]?.string, let release = json["release"]?.string, let files = json["files"]?.array
    else {
      throw UsageError("\(path): not the manifest of a backup that this release can read")
    }
    self.madeAt = madeAt
    self.release = release
    for file in files {
      guard let name = file["name"]?.string, let size = file["bytes"]?.int, let sum = file["sha256"]?.string,
        Self.names.contains(name)
      else {
        throw UsageError("\(path): a file of the manifest has no name, size or digest that can be used")
      }
      self.files.append((name, FileDigest(size: size, sha256: sum)))
    }
  }

  /// The names that a backup may contain.
  private static let names = Set(DataDirectory.databases.map(\.path) + DataDirectory.otherFiles)

  var json: JSONValue {
    [
      "format": .int(Self.format), "madeAt": .string(madeAt), "release": .string(release),
      "files": .array(
        files.map {
          ["name": .string($0.name), "bytes": .int($0.digest.size), "sha256": .string($0.digest.sha256)]
        }),
    ]
  }

  /// A table of the files.
  var table: String {
    TextTable(
      ["FILE", "BYTES", "SHA-256"],
      files.map { [$0.name, "\($0.digest.size)", String($0.digest.sha256.prefix(16)) + "…"] }, numbers: [1]
    ).text
  }
}
