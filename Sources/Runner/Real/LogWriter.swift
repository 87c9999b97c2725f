import Glibc
import System

/// Writes log records to standard error, as JSON lines or as text for people. Nobody waits for that: lines that are not
/// read in time are dropped, and a line `log-dropped` says how many.
package final class LogWriter: Sendable {
  package enum Format: String, CaseIterable, Sendable { case json, text }

  /// A thread that has written waits for so long, and then writes what has come together.
  private static let pauseNanoseconds = 2_000_000

  private let format: Format
  private let output: BackgroundWriter

  /// Writes to standard error; tests give another descriptor.
  package init(format: Format, descriptor: Int32 = 2, capacity: Int = 1 << 20) {
    self.format = format
    output = BackgroundWriter(
      descriptor: descriptor, capacity: capacity, pauseNanoseconds: Self.pauseNanoseconds
    ) { dropped in
      var line: [UInt8] = []
      let fields = [(key: "lines", value: Log.Value.int(Int64(dropped)))]
      Self.write(.init(level: .warning, node: "log", event: "log-dropped", fields: fields), format, to: &line)
      return line
    }
  }

  func write(_ record: Log.Record) { output.add { Self.write(record, format, to: &$0) } }

  /// Waits for what was logged to be written, but not for a reader who does not read.
  package func finish() { output.finish(withinSeconds: 1) }

  private static func write(_ record: Log.Record, _ format: Format, to line: inout [UInt8]) {
    let stamp = RealClock.wallTime.rfc3339
    switch format {
    case .json: json(record, stamp).write(to: &line)
    case .text: line += text(record, stamp).utf8
    }
    line.append(10)
  }

  private static func json(_ record: Log.Record, _ stamp: String) -> JSONValue {
    var members: [JSONValue.Member] = [
      .init("time", .string(stamp)), .init("level", .string(record.level.name)), .init("node", .string(record.node)),
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

  /// One line whatever the values hold: they come from outside.
  private static func text(_ record: Log.Record, _ stamp: String) -> String {
    let fields = record.fields.map { " \($0.key)=\(value($0.value).text)" }.joined()
    return "\(stamp) \(record.level.name) \(record.node) \(record.event)\(fields)"
  }
}
