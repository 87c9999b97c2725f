import Glibc
import Synchronization
import System

/// Writes log records to standard error, as JSON lines or as text for people. Lines are collected and written when the
/// loop comes to rest, or when they are many, or when one is an error.
package final class LogWriter: Sendable {
  package enum Format: String, CaseIterable, Sendable { case json, text }

  private static let fullBytes = 32_768

  private let format: Format
  private let buffer = Mutex<[UInt8]>([])

  package init(format: Format) { self.format = format }

  func write(_ record: Log.Record) {
    let stamp = RealClock.wallTime.rfc3339
    let isFull = buffer.withLock { buffer in
      switch format {
      case .json: Self.json(record, stamp).write(to: &buffer)
      case .text: buffer += Self.text(record, stamp).utf8
      }
      buffer.append(10)
      return buffer.count > Self.fullBytes
    }
    if isFull || record.level == .error { flush() }
  }

  package func flush() {
    buffer.withLock { buffer in
      if buffer.isEmpty { return }
      var done = 0
      while done < buffer.count {
        let count = buffer.withUnsafeBytes { Glibc.write(2, $0.baseAddress! + done, $0.count - done) }
        // Nobody is left to be told that standard error is gone.
        if count <= 0, errno != EINTR { break }
        done += max(0, count)
      }
      buffer.removeAll(keepingCapacity: true)
    }
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
