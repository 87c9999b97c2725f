import Foundation
import Sim

extension Scenario {
  /// A scenario of the folder `scenarios`.
  static func file(_ name: String) throws -> Scenario {
    try Scenario(parsing: bytes(name), file: name)
  }

  /// The bytes of its file.
  static func bytes(_ name: String) throws -> [UInt8] {
    let url = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../scenarios/\(name).json5")
    return Array(try Data(contentsOf: url.standardizedFileURL))
  }
}
