/// A node's structured log. A record has an event name and fields.
///
///     environment.log.warning("disk-full", ["path": .string(path)])
public struct Log: Sendable {
  /// The severity of a record, from least to most severe.
  public enum Level: Int, Comparable, Sendable, CaseIterable {
    case debug, info, warning, error
    /// Whether `a` is less severe than `b`.
    public static func < (a: Level, b: Level) -> Bool { a.rawValue < b.rawValue }

    /// The level's name in log lines. Spelled out, since the runtime looks up the names of cases
    /// slowly.
    public var name: String {
      switch self {
      case .debug: "debug"
      case .info: "info"
      case .warning: "warning"
      case .error: "error"
      }
    }
  }

  /// A field's value.
  public enum Value: Sendable, Hashable, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral {
    case string(String)
    case int(Int64)
    case double(Double)
    case bool(Bool)
    /// The value as text, without quotes.
    public var text: String {
      switch self {
      case .string(let text): text
      case .int(let number): "\(number)"
      case .double(let number): "\(number)"
      case .bool(let flag): "\(flag)"
      }
    }
    /// The maximum length of a logged string in bytes, since clients choose some of them.
    public static let maximumBytes = 2048
    /// The value, truncated to `maximumBytes`.
    var bounded: Value {
      guard case .string(let text) = self, text.utf8.count > Self.maximumBytes else { return self }
      return .string(String(decoding: text.utf8.prefix(Self.maximumBytes), as: UTF8.self) + "…")
    }
    /// Creates a string value.
    public init(stringLiteral value: String) { self = .string(value) }
    /// Creates an integer value.
    public init(integerLiteral value: Int64) { self = .int(value) }
  }

  /// One line of the log.
  public struct Record: Sendable {
    /// The severity.
    public let level: Level
    /// The name of the node that wrote the record.
    public let node: String
    /// The name of the event, in kebab case.
    public let event: String
    /// The fields, in the order given.
    public let fields: [(key: String, value: Value)]

    /// Creates a record.
    public init(level: Level, node: String, event: String, fields: [(key: String, value: Value)]) {
      self.level = level
      self.node = node
      self.event = event
      self.fields = fields
    }
  }

  /// The least severe level that is written.
  public let threshold: Level
  private let node: String
  private let sink: @Sendable (Record) -> Void

  /// Creates the log of `node`, which passes each record of at least `threshold` to `sink`.
  public init(node: String, threshold: Level, sink: @escaping @Sendable (Record) -> Void) {
    self.node = node
    self.threshold = threshold
    self.sink = sink
  }

  /// Writes a record, unless `level` is below the threshold. Then `fields` is not evaluated. Within
  /// a request the record has its ids, too: those of `trace`, or else of the running request.
  public func write(
    _ level: Level, _ event: String, _ fields: @autoclosure () -> KeyValuePairs<String, Value> = [:],
    of trace: RequestTrace? = nil
  ) {
    guard level >= threshold else { return }
    var all = fields().map { ($0.key, $0.value.bounded) }
    if let trace = trace ?? RequestTrace.current {
      all += [("request_id", .string(trace.requestID)), ("trace_id", .string(trace.traceID.text))]
    }
    sink(Record(level: level, node: node, event: event, fields: all))
  }

  /// Writes a detail for debugging.
  public func debug(_ event: String, _ fields: @autoclosure () -> KeyValuePairs<String, Value> = [:]) {
    write(.debug, event, fields())
  }
  /// Writes an event of normal operation.
  public func info(_ event: String, _ fields: @autoclosure () -> KeyValuePairs<String, Value> = [:]) {
    write(.info, event, fields())
  }
  /// Writes a problem that the service has handled.
  public func warning(
    _ event: String, _ fields: @autoclosure () -> KeyValuePairs<String, Value> = [:], of trace: RequestTrace? = nil
  ) {
    write(.warning, event, fields(), of: trace)
  }
  /// Writes a problem that needs an operator's attention.
  public func error(_ event: String, _ fields: @autoclosure () -> KeyValuePairs<String, Value> = [:]) {
    write(.error, event, fields())
  }
}
