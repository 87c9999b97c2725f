/// A node's structured log: an event name and fields, no sentences with values inside.
public struct Log: Sendable {
  /// How much a line matters; a sink drops what is below its own level.
  public enum Level: Int, Comparable, Sendable, CaseIterable {
    case debug, info, warning, error
    /// Whether `a` comes before `b`.
    public static func < (a: Level, b: Level) -> Bool { a.rawValue < b.rawValue }

    /// What lines call it. Not left to the runtime, which looks up how to print an enumeration for each line.
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
    /// The value as text.
    public var text: String {
      switch self {
      case .string(let text): text
      case .int(let number): "\(number)"
      case .double(let number): "\(number)"
      case .bool(let flag): "\(flag)"
      }
    }
    /// Bytes of a text that are written: what clients send may be as long as they like.
    public static let maximumBytes = 2048
    /// The value, cut where it is longer than that.
    var bounded: Value {
      guard case .string(let text) = self, text.utf8.count > Self.maximumBytes else { return self }
      return .string(String(decoding: text.utf8.prefix(Self.maximumBytes), as: UTF8.self) + "…")
    }
    /// Makes one from a literal.
    public init(stringLiteral value: String) { self = .string(value) }
    /// Makes one from a literal.
    public init(integerLiteral value: Int64) { self = .int(value) }
  }

  /// One line.
  public struct Record: Sendable {
    /// How much it matters.
    public let level: Level
    /// The node that says it.
    public let node: String
    /// What happened, in kebab case.
    public let event: String
    /// The details, in the order given.
    public let fields: [(key: String, value: Value)]

    /// Makes a line.
    public init(level: Level, node: String, event: String, fields: [(key: String, value: Value)]) {
      self.level = level
      self.node = node
      self.event = event
      self.fields = fields
    }
  }

  /// The least level that is written.
  public let threshold: Level
  private let node: String
  private let sink: @Sendable (Record) -> Void

  /// A log of `node` that hands each record of at least `threshold` to `sink`.
  public init(node: String, threshold: Level, sink: @escaping @Sendable (Record) -> Void) {
    self.node = node
    self.threshold = threshold
    self.sink = sink
  }

  /// Writes a record, unless `level` is below the threshold; `fields` are only evaluated when it is written.
  public func write(_ level: Level, _ event: String, _ fields: @autoclosure () -> KeyValuePairs<String, Value> = [:]) {
    guard level >= threshold else { return }
    sink(Record(level: level, node: node, event: event, fields: fields().map { ($0.key, $0.value.bounded) }))
  }

  /// What only somebody who follows each step wants to know.
  public func debug(_ event: String, _ fields: @autoclosure () -> KeyValuePairs<String, Value> = [:]) {
    write(.debug, event, fields())
  }
  /// Something an operator may want to know.
  public func info(_ event: String, _ fields: @autoclosure () -> KeyValuePairs<String, Value> = [:]) {
    write(.info, event, fields())
  }
  /// Something that is not as it should be, but goes on.
  public func warning(_ event: String, _ fields: @autoclosure () -> KeyValuePairs<String, Value> = [:]) {
    write(.warning, event, fields())
  }
  /// Something that somebody has to do something about.
  public func error(_ event: String, _ fields: @autoclosure () -> KeyValuePairs<String, Value> = [:]) {
    write(.error, event, fields())
  }
}
