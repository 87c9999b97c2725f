import Foundation

@testable import System

/// The statements of a service, as its sources have them.
struct StatementList {
  /// A statement in the dialects that get it.
  struct Statement {
    let file: String
    let text: String
    let dialects: [SQLDialect]
  }

  /// What the sources put into texts that they compose.
  private static let insertions: [String: [String]] = [
    "column.rawValue": ["email_key", "username_key"],
    "condition": ["", "WHERE email_key IS NULL OR username_key IS NULL"],
    "order": ["DESC", "ASC"],
    "query": ["SELECT message_id, seq, sender, content, kind, created_at FROM messages"],
  ]

  static let services: [(name: String, migrations: Migrations)] = [
    ("Accounts", AccountsSchema.migrations), ("Chat", ChatSchema.migrations),
    ("Customers", CustomerSchema.migrations), ("Routing", ManagerSchema.migrations),
  ]

  private static let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../..")

  /// Reads the string literals that begin with a verb of SQL. Schemas, invariants and planted bugs
  /// are for SQLite alone or declared otherwise.
  static func statements(of service: String) throws -> [Statement] {
    let folder = root.appending(path: "Sources/System/\(service)").standardizedFileURL
    let others = ["Schema.swift", "Invariants.swift", "Planted"]
    var found: [Statement] = []
    for name in try FileManager.default.subpathsOfDirectory(atPath: folder.path).sorted()
    where name.hasSuffix(".swift") && !others.contains(where: name.contains) {
      let source = try String(contentsOf: folder.appending(path: name), encoding: .utf8)
      let literal =
        #/(?<label>sqlite: |postgreSQL: )?(?:"""\n(?<lines>[\s\S]*?)"""|\#"(?<raw>.*?)"\#|"(?<line>(?:\\.|[^"\\\n])*)")/#
      for match in source.matches(of: literal) {
        let text = String(match.output.lines ?? match.output.raw ?? match.output.line ?? "")
          .split(whereSeparator: \.isWhitespace).joined(separator: " ")
        guard text.prefixMatch(of: #/(SELECT|INSERT INTO|UPDATE \w+ SET|DELETE FROM|\\\(query\)) /#) != nil else {
          continue
        }
        let dialects: [SQLDialect] =
          switch match.output.label {
          case "sqlite: "?: [.sqlite]
          case "postgreSQL: "?: [.postgreSQL]
          default: [.sqlite, .postgreSQL]
          }
        for text in expanded(text) { found.append(Statement(file: name, text: text, dialects: dialects)) }
      }
    }
    return found
  }

  /// The texts that a composed text can become.
  private static func expanded(_ text: String) -> [String] {
    guard let match = text.firstMatch(of: #/\\\(([^)]*)\)/#) else { return [text] }
    guard let choices = insertions[String(match.output.1)] else { return [text] }
    return choices.flatMap { expanded(text.replacing(match.output.0, with: $0)) }
  }
}
