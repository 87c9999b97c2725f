import Environment
import Real
import System

/// The format of log lines.
enum LogFormat: String, CaseIterable, Sendable {
  case json, text

  /// Appends a record as one line, without the newline.
  func append(_ record: Log.Record, at time: Timestamp, to line: inout [UInt8]) {
    switch self {
    case .json: Self.json(record, time.rfc3339).write(to: &line)
    case .text: line += Self.text(record, time.rfc3339).utf8
    }
  }

  private static func json(_ record: Log.Record, _ time: String) -> JSONValue {
    var members: [JSONValue.Member] = [
      .init("time", .string(time)), .init("level", .string(record.level.name)), .init("node", .string(record.node)),
      .init("event", .string(record.event)),
    ]
    for field in record.fields { members.append(.init(field.key, value(field.value))) }
    return .object(members)
  }

  private static func value(_ value: Log.Value) -> JSONValue {
    switch value {
    case .string(let text): .string(text)
    case .int(let number): .int(number)
    case .double(let number): .double(number)
    case .bool(let flag): .bool(flag)
    }
  }

  /// Values come from outside and may contain newlines.
  private static func text(_ record: Log.Record, _ time: String) -> String {
    let fields = record.fields.map { " \($0.key)=\(value($0.value).text)" }.joined()
    return "\(time) \(record.level.name) \(record.node) \(record.event)\(fields)"
  }
}

extension LogWriter {
  /// Makes a writer to standard error. Tests pass another descriptor.
  convenience init(_ format: LogFormat, descriptor: Int32 = 2, capacity: Int = 1 << 20) {
    self.init(descriptor: descriptor, capacity: capacity) { format.append($0, at: $1, to: &$2) }
  }
}
