/// The number of a user, 1, 2, 3 … in the order in which the Chat Service met the accounts.
public struct UserNumber: Hashable, Comparable, Sendable {
  /// The number.
  public let value: Int64

  /// The user with this number.
  public init(_ value: Int64) { self.value = value }

  /// Whether the number is in the range that the Chat Service assigns. A damaged row may hold
  /// another.
  var isStorable: Bool { (1..<ClientBounds.counter).contains(value) }

  /// Whether `a` was met before `b`.
  public static func < (a: UserNumber, b: UserNumber) -> Bool { a.value < b.value }
}

/// The number of a group, from 1.
public struct GroupID: Hashable, Sendable {
  /// The number.
  public let value: Int64

  /// The group with this number.
  public init(_ value: Int64) { self.value = value }
}

/// A conversation: two users, or a group. Its messages have one order.
public enum ConversationID: Hashable, Sendable {
  /// Two users, the lower number first; `between` puts them in this order.
  case direct(UserNumber, UserNumber)
  case group(GroupID)

  /// The conversation of two users.
  public static func between(_ a: UserNumber, _ b: UserNumber) -> ConversationID {
    a < b ? .direct(a, b) : .direct(b, a)
  }

  /// The conversation with this key; nil for any other text.
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

  /// The key in the database: `d1-2` for two users, `g1` for a group.
  var key: String {
    switch self {
    case .direct(let a, let b): "d" + String(a.value) + "-" + String(b.value)
    case .group(let id): "g" + String(id.value)
    }
  }
}

/// A place in the single order of everything that the Chat Service publishes. The positions of
/// committed transactions have no gap.
struct Position: Hashable, Comparable, Sendable {
  let value: Int64

  init(_ value: Int64) { self.value = value }

  var next: Position { advanced(by: 1) }

  func advanced(by count: Int64) -> Position { Position(value + count) }

  static func < (a: Position, b: Position) -> Bool { a.value < b.value }
}

/// The id of a message: the position at which it was published.
public struct MessageID: Hashable, Sendable {
  /// The number, from 1.
  public let value: Int64

  init(_ position: Position) { value = position.value }

  var position: Position { Position(value) }
}

/// The place of a message in its conversation: 1, 2, 3 … without a gap.
public struct SequenceNumber: Hashable, Comparable, Sendable {
  /// The number.
  public let value: Int64

  init(_ value: Int64) { self.value = value }

  var next: SequenceNumber { SequenceNumber(value + 1) }

  /// Whether `a` comes before `b`.
  public static func < (a: SequenceNumber, b: SequenceNumber) -> Bool { a.value < b.value }
}

/// The kind of a message's content.
public enum MessageKind: String, Sendable, CaseIterable {
  case text, image, item
}

/// A stored message.
public struct ChatMessage: Hashable, Sendable {
  /// The id, unique among all messages.
  public let id: MessageID
  /// The place in the conversation.
  public let sequence: SequenceNumber
  /// The user who sent it.
  public let sender: UserNumber
  /// The content, at most 64 KiB.
  public let content: String
  /// The kind of the content.
  public let kind: MessageKind
  /// The time at which it was stored (RFC 3339).
  public let timestamp: String
}

/// A stored message with everything that its recipients are sent.
struct StoredMessage: Sendable {
  let message: ChatMessage
  let conversation: ConversationID
  let senderName: String
  /// The participants of the conversation when the message was stored.
  let participants: [UserNumber]
}

/// A page of a conversation: the messages after the sequence number `after`, or else the last ones
/// before `before`, at most `limit`.
struct MessagePage: Sendable {
  var before: Int64?
  var after: Int64?
  var limit: Int64 = ChatRules.standardPage
}

/// A user of the Chat Service and the account at the User Service.
struct ChatUser: Hashable, Sendable {
  let number: UserNumber
  let account: AccountID
  let username: String

  var listed: ListedUser { ListedUser(number: number, username: username) }
}

/// A user as a list shows them: the number, and the name under which they are listed.
struct ListedUser: Hashable, Sendable {
  let number: UserNumber
  let username: String
}

/// The role of a group's member.
enum GroupRole: Hashable, Sendable {
  /// Adds and removes members.
  case admin
  case member
}

/// A group as its members see it.
struct GroupView: Sendable {
  let id: GroupID
  let name: String
  /// The present members, oldest membership first.
  let members: [(user: UserNumber, username: String)]
}
