import Environment
import System

/// `parley queues purge`, `parley queues dead-letters replay` and `drop`.
enum QueueCommand: String, CaseIterable {
  case purge
  case replay = "dead-letters replay"
  case drop = "dead-letters drop"

  var argument: String? { self == .purge ? "QUEUE" : nil }

  var help: String {
    switch self {
    case .purge: "remove the ready messages of a queue"
    case .replay: "publish dead letters again, where they were published before"
    case .drop: "remove dead letters"
    }
  }

  static let flags = [
    Folder.dataFlag, Flag(name: "queue", placeholder: "QUEUE", help: "only dead letters from this queue"),
    Flag(name: "limit", placeholder: "N", help: "the most dead letters (default: all)"),
    Flag(name: "dry-run", placeholder: nil, help: "show what would be done, and change nothing"), Folder.jsonFlag,
  ]

  /// The command that begins with these words; nil if another one does.
  init?(_ words: [String]) {
    let found = Self.allCases.first { words.starts(with: $0.rawValue.split(separator: " ").map(String.init)) }
    guard let found else { return nil }
    self = found
  }

  func run(_ words: [String]) throws(UsageError) -> Int32 {
    let flags = self == .purge ? Self.flags.filter { !["queue", "limit"].contains($0.name) } : Self.flags
    let arguments = try Arguments(words, flags: flags)
    let rest = arguments.words.dropFirst(self == .purge ? 1 : 2)
    guard rest.count == (argument == nil ? 0 : 1) else {
      throw UsageError("write: parley queues \(rawValue)" + (argument.map { " " + $0 } ?? ""))
    }
    let limit = try arguments.int("limit", in: 1...1_000_000_000) ?? .max
    let (only, isTrial) = (arguments.value("queue"), arguments.has("dry-run"))
    let rows: [Row]
    do {
      let broker = try OperatedService(.broker, data: Folder.trimmed(Folder.data(arguments)))
      switch self {
      case .purge:
        let queue = rest.first!
        rows = [Row(queue, "purged", try broker.change { try await $0.purge(queue, isTrial: isTrial) })]
      case .replay, .drop:
        let treatment: QueueOperator.Treatment = self == .replay ? .replay : .drop
        let outcomes = try broker.change {
          try await $0.treat(treatment, from: only, limit: limit, isTrial: isTrial).map { ($0.outcome, $0.letters) }
        }
        rows = outcomes.map { Row($0.0.queue, $0.0.result.text, $0.1) }
      }
      try broker.close()
    } catch let error as UsageError {
      throw error
    } catch {
      return UpkeepFailure(error).report()
    }
    print(arguments.has("json") ? Self.json(rows).text : Self.table(rows))
    return rows.contains { $0.result.hasPrefix(Self.kept) } ? 1 : 0
  }

  private struct Row {
    let queue: String
    let result: String
    let messages: Int

    init(_ queue: String, _ result: String, _ messages: Int) {
      (self.queue, self.result, self.messages) = (queue, result, messages)
    }
  }

  private static let kept = "kept: "

  private static func json(_ rows: [Row]) -> JSONValue {
    .array(
      rows.map {
        ["queue": .string($0.queue), "result": .string($0.result), "messages": .int(Int64($0.messages))]
      })
  }

  private static func table(_ rows: [Row]) -> String {
    TextTable(
      ["QUEUE", "RESULT", "MESSAGES"], rows.map { [$0.queue, $0.result, "\($0.messages)"] }, numbers: [2]
    ).text
  }
}
