import Glibc

/// The settings that are in files of their own.
enum SecretFiles {
  /// Reads the files that a layer of the configuration names, such as `service-token-file`, and
  /// adds their contents as the settings themselves.
  static func read(into layer: inout [String: [String]]) throws(UsageError) {
    for setting in Setting.all {
      guard let fileFlag = setting.fileFlag, let path = layer[fileFlag]?.first else { continue }
      if layer[setting.flag] != nil {
        throw UsageError("--\(setting.flag) and --\(fileFlag) are both given; one of them is enough")
      }
      layer[setting.flag] = try values(of: setting, in: path, source: "--\(fileFlag) \(path)")
    }
  }

  /// The settings in the credentials of a systemd service (systemd.exec(5), `LoadCredential=`):
  /// files of the directory `CREDENTIALS_DIRECTORY`, named like the flags.
  static func credentials(_ environment: [(name: String, value: String)]) throws(UsageError) -> [String: [String]] {
    var layer: [String: [String]] = [:]
    guard let folder = environment.first(where: { $0.name == "CREDENTIALS_DIRECTORY" })?.value else { return layer }
    for setting in Setting.all where setting.fileFlag != nil {
      let path = "\(folder)/\(setting.flag)"
      guard Folder.exists(path) else { continue }
      layer[setting.flag] = try values(of: setting, in: path, source: "credential \(setting.flag)")
    }
    return layer
  }

  /// The values in a file, one in each line. Errors contain no part of the file.
  private static func values(
    of setting: Setting, in path: String, source: String
  ) throws(UsageError) -> [String] {
    guard let bytes = readFile(path) else { throw UsageError("\(source): \(String(cString: strerror(errno)))") }
    guard let text = String(validating: bytes, as: UTF8.self) else { throw UsageError("\(source): not UTF-8") }
    let lines = text.split(whereSeparator: \.isNewline).map(String.init)
    guard !lines.isEmpty else { throw UsageError("\(source): the file is empty") }
    guard lines.count == 1 || setting.isRepeatable else {
      throw UsageError("\(source): the file has \(lines.count) lines, and should have one")
    }
    for line in lines { try setting.check(line, source) }
    return lines
  }
}
