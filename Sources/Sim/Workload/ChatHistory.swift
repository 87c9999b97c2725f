import System

/// Two people, or a group, as clients name them.
enum Conversation: Hashable, Comparable, CustomStringConvertible {
  /// The two user ids in order; make it with `between`.
  case direct(Int64, Int64)
  case group(Int64)

  static func between(_ a: Int64, _ b: Int64) -> Conversation { .direct(min(a, b), max(a, b)) }

  static func < (a: Conversation, b: Conversation) -> Bool { a.description < b.description }

  var description: String {
    switch self {
    case .direct(let a, let b): "users \(a) and \(b)"
    case .group(let id): "group \(id)"
    }
  }
}

/// A message, as somebody saw it.
struct MessageFact: Hashable {
  let conversation: Conversation
  let sequence: Int64
  let id: Int64
  let sender: Int64
  let content: String
}

extension MessageFact {
  /// Reads a message as the Chat Service sends it; nil for anything else.
  init?(_ data: JSONValue) {
    guard let sequence = data["seq"]?.int, let id = data["message_id"]?.int, let sender = data["sender_id"]?.int,
      let recipient = data["recipient_id"]?.int, let content = data["content"]?.string,
      let isGroup = data["is_group"]?.bool
    else { return nil }
    self.init(
      conversation: isGroup ? .group(recipient) : .between(sender, recipient), sequence: sequence, id: id,
      sender: sender, content: content)
  }
}

/// What an acknowledgement said.
struct Acknowledgement: Hashable {
  let id: Int64
  let sequence: Int64
  let timestamp: String
}

/// A message that somebody sent, over however many attempts.
struct Sending {
  let person: String
  let sender: Int64
  let conversation: Conversation
  let content: String
  let clientID: String
  var interval: Interval
  /// What each attempt that was answered well said.
  var acknowledgements: [Acknowledgement] = []
  /// For each of those: on whose session it was sent, and when.
  var accepted: [(session: String, askedAt: Int64)] = []
  /// Why it was refused, when it was.
  var refusal: String?
  /// Whether an attempt ended without an answer: then it may have been stored.
  var hasUnknown = false

  var isAcknowledged: Bool { !acknowledgements.isEmpty }
}

/// A change of who may write to whom, or of who is in a group.
struct Change {
  enum Kind: Hashable {
    case member(group: Int64, user: Int64, isAdded: Bool)
    /// Whoever is blocked no more may be made a friend again by either side.
    case contact(Conversation, isBlocked: Bool)
  }

  let kind: Kind
  var interval: Interval
  /// nil when no answer came.
  var succeeded: Bool?
  /// Whether it was asked for before without an answer: held up, that may still be done.
  var mayComeAgain = false
  /// After this it was not done any more.
  var end: Int { mayComeAgain ? .max : interval.answered }

  /// It may have been done at any time from when it was asked for, or not at all.
  mutating func makeUncertain() {
    succeeded = nil
    mayComeAgain = true
  }
}

/// A socket of the chat, from its CONNECT to its end, as its client saw it.
struct ChatSocketRecord {
  let person: String
  let user: Int64
  let session: String
  /// When its device began to connect.
  let begunAt: Int64
  /// When its CONNECT was answered.
  let connected: Int
  let connectedAt: Int64
  var ended: Int?
  var heard: [(position: Int, time: Int64, fact: MessageFact)] = []
  /// What it heard of the presence of others.
  var presence: [(position: Int, user: Int64, isOnline: Bool)] = []
}

/// A reading of a conversation over REST.
struct Reading {
  let person: String
  let user: Int64
  let conversation: Conversation
  let facts: [MessageFact]
  /// Whether it was read from its beginning to its end, when everything had come to rest.
  let isWhole: Bool
}

/// What somebody saw at the end of who is there.
struct FinalPresence {
  let person: String
  let other: Int64
  let isOnline: Bool
}

/// What was asked of the Chat Service, over REST or a socket, and the status that came back; a socket hears of 500 and 503 in words.
struct ServiceCall {
  let person: String
  let what: String
  var interval: Interval
  var status: Int?
}

/// Everything that people did and saw at the Chat Service, in one order.
final class ChatHistory: Timeline {
  var sendings: [Sending] = []
  var changes: [Change] = []
  var sockets: [ChatSocketRecord] = []
  var readings: [Reading] = []
  var presence: [FinalPresence] = []
  var calls: [ServiceCall] = []
  /// When the end of a session was acknowledged.
  var endedSessions: [String: Int64] = [:]
  /// The users that each name has stood for, one after the other: an account that is deleted and registered again is another one.
  private(set) var accounts: [String: [Int64]] = [:]
  /// The contacts in people's lists when everything has come to rest.
  var lastContacts: [(person: String, other: Int64)] = []
  /// Who is there when everything has come to rest.
  var isOnlineAtEnd: [Int64: Bool] = [:]

  /// Notes which user somebody is now.
  func note(_ user: Int64, of name: String) {
    if accounts[name]?.last != user { accounts[name, default: []].append(user) }
  }
}
