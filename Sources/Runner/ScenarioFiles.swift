import Glibc
import Sim
import System

/// Finds and reads scenario files. Folders are searched recursively, in the order of names.
enum ScenarioFiles {
  /// Maximum size of a scenario file in bytes.
  private static let mostBytes = 4 << 20

  /// Reads a file. Returns its text and the scenario.
  static func read(_ file: String) throws(UsageError) -> (bytes: [UInt8], scenario: Scenario) {
    var status = stat()
    if stat(file, &status) == 0, status.st_size > mostBytes {
      throw UsageError("\(file): a scenario file may have at most \(mostBytes >> 20) MiB")
    }
    guard let bytes = readFile(file) else { throw UsageError("\(file): \(String(cString: strerror(errno)))") }
    do throws(ScenarioError) {
      return (bytes, try Scenario(parsing: bytes, file: file))
    } catch {
      throw UsageError(error.lines)
    }
  }

  /// Reads the one file of a command line, and applies its `--strategy`. Returns the scenario also
  /// as JSON, for child processes.
  static func readOne(
    _ arguments: Arguments, for command: Command
  ) throws(UsageError) -> (json: JSONValue, scenario: Scenario) {
    guard arguments.words.count == 1 else {
      throw UsageError("expected one scenario: parley \(command.rawValue) FILE")
    }
    let (bytes, scenario) = try read(arguments.words[0])
    guard let json = try? JSONParser.parse(bytes, as: .json5) else {
      throw UsageError("\(arguments.words[0]): not JSON5")
    }
    guard let strategy = try arguments.strategy() else { return (json, scenario) }
    return (json.setting("strategy", .string(strategy.rawValue)), scenario)
  }

  /// Reads several files, and reports the errors of all of them together.
  static func read(_ files: [String]) throws(UsageError) -> [(file: String, scenario: Scenario)] {
    var scenarios: [(file: String, scenario: Scenario)] = []
    var errors: [String] = []
    for file in files {
      do throws(UsageError) {
        scenarios.append((file, try read(file).scenario))
      } catch {
        errors += error.lines
      }
    }
    guard errors.isEmpty else { throw UsageError(errors) }
    return scenarios
  }

  static func find(_ paths: [String]) throws(UsageError) -> [String] {
    var files: [String] = []
    for path in paths {
      guard let isFolder = isFolder(path) else { throw UsageError("\(path): \(String(cString: strerror(errno)))") }
      if isFolder {
        let found = under(path)
        if found.isEmpty { throw UsageError("\(path): no scenario files (*.json5)") }
        files += found
      } else {
        files.append(path)
      }
    }
    return files
  }

  /// Whether `path` is a folder; nil if it does not exist.
  static func isFolder(_ path: String) -> Bool? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    return status.st_mode & S_IFMT == S_IFDIR
  }

  private static func under(_ folder: String) -> [String] {
    guard let stream = opendir(folder) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if !name.hasPrefix(".") { names.append(name) }
    }
    let base = folder.hasSuffix("/") ? String(folder.dropLast()) : folder
    return names.sorted().flatMap { name -> [String] in
      let path = "\(base)/\(name)"
      if isFolder(path) == true { return under(path) }
      return name.hasSuffix(".json5") ? [path] : []
    }
  }
}
