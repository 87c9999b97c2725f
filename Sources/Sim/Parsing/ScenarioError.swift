import System

/// All errors of a scenario file, in the order of the file.
public struct ScenarioError: Error, Sendable, CustomStringConvertible {
  /// A line for each error: `file:line:column: …`.
  public let lines: [String]

  /// The lines as one text.
  public var description: String { lines.joined(separator: "\n") }

  init(_ lines: [String]) { self.lines = lines }

  init(_ file: String, _ position: TextPosition?, _ reason: String) {
    lines = ["\(file):\(position.map { "\($0): " } ?? " ")\(reason)"]
  }
}
