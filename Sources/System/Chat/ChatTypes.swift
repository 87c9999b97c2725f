/// A user as the Chat Service numbers them, in the order in which it met them.
public struct UserNumber: Hashable, Comparable, Sendable {
  /// The number, from 1.
  public let value: Int64

  /// The user with this number.
  public init(_ value: Int64) { self.value = value }

  /// Whether `a` was met before `b`.
  public static func < (a: UserNumber, b: UserNumber) -> Bool { a.value < b.value }
}

/// A group.
public struct GroupID: Hashable, Sendable {
  /// The number, from 1.
  public let value: Int64

  /// The group with this number.
  public init(_ value: Int64) { self.value = value }
}

/// Two people, or a group: what has one order of messages.
public enum ConversationID: Hashable, Sendable {
  /// The two in the order of their numbers; make it with `between`.
  case direct(UserNumber, UserNumber)
  case group(GroupID)

  /// The conversation of two people.
  public static func between(_ a: UserNumber, _ b: UserNumber) -> ConversationID {
    a < b ? .direct(a, b) : .direct(b, a)
  }

  /// Its key in the database.
  var key: String {
    switch self {
    case .direct(let a, let b): "d\(a.value)-\(b.value)"
    case .group(let id): "g\(id.value)"
    }
  }
}

/// What a message holds.
public enum MessageKind: String, Sendable, CaseIterable {
  case text, image, item
}

/// A stored message.
public struct ChatMessage: Hashable, Sendable {
  /// Unique to the message.
  public let id: Int64
  /// Its place in its conversation: 1, 2, 3 … without a gap.
  public let sequence: Int64
  /// Who wrote it.
  public let sender: UserNumber
  /// What it says.
  public let content: String
  /// What it holds.
  public let kind: MessageKind
  /// When it was stored (RFC 3339).
  public let timestamp: String
}
