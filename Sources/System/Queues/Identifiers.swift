/// The epoch of a supervised session: it grows each time the session is offered to the hosts.
///
/// A supervisor with a lower epoch than its session's was replaced; what it sends has no effect.
struct Epoch: Hashable, Comparable, Sendable {
  let number: Int64

  init(_ number: Int64) { self.number = number }

  /// The epoch of a foreign supervisor, one that the manager did not start.
  static let foreign = Epoch(0)
  /// The epoch of a session's first offer.
  static let first = Epoch(1)

  var next: Epoch { Epoch(number + 1) }

  static func < (a: Epoch, b: Epoch) -> Bool { a.number < b.number }
}

/// The number of a user's connection to the User Server. It grows with each connection of that
/// user.
public struct ConnectionNumber: Hashable, Comparable, Sendable {
  /// No connection.
  static let none = ConnectionNumber(0)
  /// The highest number. All further connections have it.
  static let last = ConnectionNumber(ClientBounds.counter)

  /// The number, from 1.
  public let value: Int64

  /// The connection with this number.
  public init(_ value: Int64) { self.value = value }

  /// The number of the next connection, at most `last`.
  var next: ConnectionNumber { min(ConnectionNumber(value + 1), .last) }

  /// Whether `a` began before `b`.
  public static func < (a: ConnectionNumber, b: ConnectionNumber) -> Bool { a.value < b.value }
}

/// The place of a message in the transcript of a supervised session, from 1: its `SEQ`.
struct TranscriptPosition: Hashable, Comparable, Sendable {
  /// Before the first message.
  static let start = TranscriptPosition(0)

  let value: Int64

  init(_ value: Int64) { self.value = value }

  var next: TranscriptPosition { TranscriptPosition(value + 1) }
  var json: JSONValue { .int(value) }

  static func < (a: TranscriptPosition, b: TranscriptPosition) -> Bool { a.value < b.value }
}

/// The `MESSAGE_ID` of a message in a supervised session: 1 to 255 bytes. The same id means the
/// same message.
struct SessionMessageID: Hashable, Sendable {
  let text: String

  init?(_ text: String) {
    guard (1...ClientBounds.identifier).contains(text.utf8.count) else { return nil }
    self.text = text
  }
}

/// The id of a customer's `START_SESSION`: 1 to 255 bytes. Answers to the request carry it.
struct RequestID: Hashable, Sendable {
  let text: String

  init?(_ text: String) {
    guard (1...ClientBounds.identifier).contains(text.utf8.count) else { return nil }
    self.text = text
  }
}

/// A host of Session Supervisors: at most 128 bytes.
struct HostName: Hashable, Comparable, Sendable {
  /// Leaves room in the name of the host's queue.
  static let maximumBytes = 128
  /// The name of a foreign host, which need not have one.
  static let unnamed = HostName("")!

  let text: String

  init?(_ text: String) {
    guard text.utf8.count <= Self.maximumBytes else { return nil }
    self.text = text
  }

  var isUnnamed: Bool { text.isEmpty }

  static func < (a: HostName, b: HostName) -> Bool { a.text < b.text }
}

/// A message on its way into the transcript of a supervised session.
struct SessionMessage: Sendable {
  let id: SessionMessageID
  /// A user, or `UserID.customer`.
  let sender: UserID
  let text: JSONValue
  /// The message of the same customer before this one. Only the Customer Server gives it.
  var previous: SessionMessageID?
}
