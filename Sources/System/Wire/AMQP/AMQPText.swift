/// A short string as it came. It is text nearly always, but RabbitMQ takes any bytes in properties
/// and in the names of headers, and hands them on.
///
/// Two of them are equal if they have the same bytes.
public struct AMQPText: Hashable, Sendable {
  private enum Content: Sendable {
    case text(String)
    /// Bytes that are not UTF-8.
    case bytes([UInt8])
  }

  private let content: Content

  /// Creates a short string of a text.
  public init(_ text: String) { content = .text(text) }

  init(bytes: ArraySlice<UInt8>) {
    content = String(utf8: bytes).map(Content.text) ?? .bytes(Array(bytes))
  }

  /// The text; nil for bytes that are not UTF-8.
  public var text: String? { if case .text(let text) = content { text } else { nil } }

  /// The text for people, with U+FFFD in place of bytes that are not UTF-8.
  var shown: String {
    switch content {
    case .text(let text): text
    case .bytes(let bytes): String(decoding: bytes, as: UTF8.self)
    }
  }

  /// The number of bytes.
  var count: Int {
    switch content {
    case .text(let text): text.utf8.count
    case .bytes(let bytes): bytes.count
    }
  }

  var bytes: [UInt8] {
    switch content {
    case .text(let text): Array(text.utf8)
    case .bytes(let bytes): bytes
    }
  }

  /// Whether it has the bytes of a text.
  func isText(_ other: String) -> Bool { text?.hasSameBytes(as: other) ?? false }

  func precedes(_ other: AMQPText) -> Bool {
    if case .text(let own) = content, case .text(let others) = other.content {
      return own.utf8.lexicographicallyPrecedes(others.utf8)
    }
    return bytes.lexicographicallyPrecedes(other.bytes)
  }

  /// Appends the bytes.
  func append(to output: inout [UInt8]) {
    switch content {
    case .text(let text): output.append(utf8: text)
    case .bytes(let bytes): output += bytes
    }
  }

  /// Whether both have the same bytes.
  public static func == (a: AMQPText, b: AMQPText) -> Bool {
    switch (a.content, b.content) {
    case (.text(let one), .text(let other)): one.hasSameBytes(as: other)
    case (.bytes(let one), .bytes(let other)): one == other
    // One is UTF-8, the other is not.
    default: false
    }
  }

  /// Hashes the bytes.
  public func hash(into hasher: inout Hasher) {
    switch content {
    case .text(let text): text.utf8.span.withUnsafeBytes { hasher.combine(bytes: $0) }
    case .bytes(let bytes): bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
    }
  }
}

extension AMQPText: ExpressibleByStringInterpolation {
  /// Creates a short string of a text.
  public init(stringLiteral text: String) { self.init(text) }
}
