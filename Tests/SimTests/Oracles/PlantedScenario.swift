import Foundation
import Sim

extension Scenario {
  /// A scenario of the folder `scenarios`.
  static func file(_ name: String) throws -> Scenario {
    let url = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../scenarios/\(name).json5")
    return try Scenario(parsing: Array(Data(contentsOf: url.standardizedFileURL)), file: name)
  }
}
