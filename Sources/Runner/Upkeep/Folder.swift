import Environment
import Glibc
import Real

/// A folder that a command reads or makes.
enum Folder {
  static let dataFlag = Flag(
    name: "data", placeholder: "DIR", help: "the data directory (default ./parley-data) [PARLEY_DATA]")
  static let jsonFlag = Flag(name: "json", placeholder: nil, help: "print one JSON object")

  /// The data directory that the flags or the environment name.
  static func data(_ arguments: Arguments) -> String {
    arguments.value("data") ?? environmentVariables().first { $0.name == "PARLEY_DATA" }?.value ?? "./parley-data"
  }

  /// Whether there is a file or a folder at a path.
  static func exists(_ path: String) -> Bool { faccessat(AT_FDCWD, path, F_OK, 0) == 0 }

  /// Opens a folder that exists.
  static func open(_ path: String) throws(UsageError) -> RealStorage {
    guard exists(path) else { throw UsageError("\(path): \(String(cString: strerror(errno)))") }
    return try make(path)
  }

  /// Opens a folder. Makes it with mode 0700 if it does not exist.
  static func make(_ path: String) throws(UsageError) -> RealStorage {
    do throws(StorageError) { return try RealStorage(path: path) } catch {
      throw UsageError("\(path): \(ServeCommand.describe(error))")
    }
  }

  /// Removes a folder and everything in it.
  static func remove(_ path: String) {
    // The commands make no folders in their folders, except those that they remove first.
    let storage: RealStorage
    do throws(StorageError) {
      storage = try RealStorage(path: path)
      for name in try storage.list() { try storage.remove(name) }
    } catch {
      standardError("parley: \(path) cannot be removed: \(ServeCommand.describe(error))")
      return
    }
    if rmdir(path) != 0 { standardError("parley: \(path) cannot be removed: \(String(cString: strerror(errno)))") }
  }

  /// Renames a folder, durably.
  static func rename(_ path: String, to newPath: String) throws(UsageError) {
    guard Glibc.rename(path, newPath) == 0 else { throw UsageError("\(newPath): \(String(cString: strerror(errno)))") }
    do throws(StorageError) { try RealStorage(path: parent(of: newPath)).syncDirectory() } catch {
      throw UsageError("\(newPath): \(ServeCommand.describe(error))")
    }
  }

  /// A path without slashes at its end.
  static func trimmed(_ path: String) -> String {
    var path = path[...]
    while path.count > 1, path.last == "/" { path.removeLast() }
    return String(path)
  }

  static func parent(of path: String) -> String {
    let path = trimmed(path)
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  /// Makes a new folder for temporary files in `parent`, by default `TMPDIR` or `/tmp`.
  static func makeTemporary(in parent: String?) throws(UsageError) -> String {
    let parent = parent ?? environmentVariables().first { $0.name == "TMPDIR" }?.value ?? "/tmp"
    var template = Array((trimmed(parent) + "/parley-XXXXXX").utf8CString)
    guard mkdtemp(&template) != nil else { throw UsageError("\(parent): \(String(cString: strerror(errno)))") }
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
