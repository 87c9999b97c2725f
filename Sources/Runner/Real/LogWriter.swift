import Environment
import Glibc

/// Writes log records to standard error from its own thread. Callers never wait for a reader: lines
/// that do not fit into the buffer are dropped, and a line `log-dropped` has their number.
public final class LogWriter: Sendable {
  /// Appends a record as one line, without a line feed.
  public typealias Format = @Sendable (Log.Record, Timestamp, inout [UInt8]) -> Void

  /// The pause of the thread after each write, to collect further lines.
  private static let pauseNanoseconds = 2_000_000

  private let format: Format
  private let output: BackgroundWriter

  /// Creates a writer to `descriptor` that buffers at most `capacity` bytes and formats records
  /// with `format`.
  public init(descriptor: Int32 = 2, capacity: Int = 1 << 20, format: @escaping Format = LogWriter.plain) {
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

  /// Writes a record.
  public func write(_ record: Log.Record) { output.add { Self.write(record, format, to: &$0) } }

  /// Waits until all records are written, for at most one second.
  public func finish() { output.finish(withinSeconds: 1) }

  private static func write(_ record: Log.Record, _ format: Format, to line: inout [UInt8]) {
    format(record, RealClock.wallTime, &line)
    line.append(10)
  }

  /// The default format: seconds since 1970, level, node, event and fields.
  public static let plain: Format = { record, time, line in
    let fields = record.fields.map { " \($0.key)=\($0.value.text)" }.joined()
    line += "\(time.seconds) \(record.level.name) \(record.node) \(record.event)\(fields)".utf8
  }
}
