/// A user as the Chat Service numbers them, in the order in which it met them.
public struct UserNumber: Hashable, Comparable, Sendable {
  /// The number, from 1.
  public let value: Int64

  /// The user with this number.
  public init(_ value: Int64) { self.value = value }

  /// Whether the Chat Service gives such numbers.
  var isStorable: Bool { (1..<ClientBounds.counter).contains(value) }

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

  /// The conversation with this key; nil for another text.
  init?(key: String) {
    let bytes = key.utf8
    // Two numbers of 19 digits, the letter and the dash.
    guard bytes.count <= 40 else { return nil }
    let numbers = bytes.dropFirst().split(separator: UInt8(ascii: "-")).compactMap { Int64(Substring($0)) }
    guard numbers.allSatisfy({ $0 > 0 }) else { return nil }
    switch (bytes.first, numbers.count) {
    case (UInt8(ascii: "d"), 2): self = .direct(UserNumber(numbers[0]), UserNumber(numbers[1]))
    case (UInt8(ascii: "g"), 1): self = .group(GroupID(numbers[0]))
    default: return nil
    }
  }

  /// Its key in the database.
  var key: String {
    switch self {
    case .direct(let a, let b): "d" + String(a.value) + "-" + String(b.value)
    case .group(let id): "g" + String(id.value)
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

/// A stored message with all that whoever receives it has to know.
struct StoredMessage: Sendable {
  let message: ChatMessage
  let conversation: ConversationID
  let senderName: String
  let participants: [UserNumber]
}

/// A user whom the Chat Service knows: the account of the User Service, and the number here.
struct ChatUser: Hashable, Sendable {
  let number: UserNumber
  let account: AccountID
  let username: String
}

/// A group as its members see it.
struct GroupView: Sendable {
  let id: GroupID
  let name: String
  let members: [(user: UserNumber, username: String)]
}
