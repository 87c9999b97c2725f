import System

/// A conversation of two users or of a group, as clients name it.
enum Conversation: Hashable, Comparable, CustomStringConvertible {
  /// Two user ids in order: see `between`.
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

/// A message, as a user saw it.
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

/// The acknowledgement of a message.
struct Acknowledgement: Hashable {
  let id: Int64
  let sequence: Int64
  let timestamp: String
}

/// A message that a user sent, with all attempts.
struct Sending {
  let person: String
  let sender: Int64
  let conversation: Conversation
  let content: String
  let clientID: String
  var interval: Interval
  /// The acknowledgements of all attempts.
  var acknowledgements: [Acknowledgement] = []
  /// For each acknowledgement, the session of the attempt and the time of the request.
  var accepted: [(session: String, askedAt: Int64)] = []
  /// The reason of a refusal; nil if the message was not refused.
  var refusal: String?
  /// Whether an attempt ended without an answer. The message may have been stored.
  var hasUnknown = false

  var isAcknowledged: Bool { !acknowledgements.isEmpty }
}

/// A change of a contact or of the members of a group.
struct Change {
  enum Kind: Hashable {
    case member(group: Int64, user: Int64, isAdded: Bool)
    /// A user who is no longer blocked can become a friend again, through either side.
    case contact(Conversation, isBlocked: Bool)
  }

  let kind: Kind
  var interval: Interval
  /// nil if no answer came.
  var succeeded: Bool?
  /// Whether it was requested before without an answer. A delayed request may still take effect.
  var mayComeAgain = false
  /// The position after which the change no longer takes effect.
  var end: Int { mayComeAgain ? .max : interval.answered }

  /// Marks the change as one that took effect at any time after its request, or never.
  mutating func makeUncertain() {
    succeeded = nil
    mayComeAgain = true
  }
}

/// A connected socket of the Chat Service, as its client saw it.
struct ChatSocketRecord {
  let person: String
  let user: Int64
  let session: String
  /// When the device began to connect.
  let begunAt: Int64
  /// When the CONNECT packet was answered.
  let connected: Int
  let connectedAt: Int64
  /// Whether its device asks for recovery.
  var asksForRecovery = false
  /// The record of the connection that it goes on from; nil for a new socket.
  var resumes: Int?
  var ended: Int?
  /// The events with their offsets. A device that asks for none notes only what it gets.
  var offsets: [(time: Int64, event: String, offset: String?)] = []
  var heard: [(position: Int, time: Int64, fact: MessageFact)] = []
  /// The users whose `typing` it received.
  var typing: [(position: Int, sender: Int64)] = []
  /// The presence of other users, as the socket received it.
  var presence: [(position: Int, user: Int64, isOnline: Bool)] = []
}

/// A conversation as it was read over REST.
struct Reading {
  let person: String
  let user: Int64
  let conversation: Conversation
  let facts: [MessageFact]
  /// Whether it was read from beginning to end, when everything had come to rest.
  let isWhole: Bool
}

/// The presence of a user, as another one read it in the end.
struct FinalPresence {
  let person: String
  let other: Int64
  let isOnline: Bool
}

/// A request to the Chat Service, over REST or a socket, and its status. A socket receives 500 and
/// 503 in words.
struct ServiceCall {
  let person: String
  let what: String
  var interval: Interval
  var status: Int?
}

/// The event `typing`, which a user sent to another one without asking for an acknowledgement.
struct Typing {
  let person: String
  let sender: Int64
  let peer: Int64
  /// The index of the sender's socket. Events of one socket are handled in order.
  let line: Int
  let position: Int
  let time: Int64
}

/// Everything that users did and saw at the Chat Service, in one order.
final class ChatHistory: Timeline {
  /// The token that operators show.
  var operatorToken = Scenario.serviceToken
  var sendings: [Sending] = []
  var changes: [Change] = []
  var sockets: [ChatSocketRecord] = []
  var readings: [Reading] = []
  var presence: [FinalPresence] = []
  var calls: [ServiceCall] = []
  var typings: [Typing] = []
  /// The messages whose first attempt was acknowledged: the socket, the position of the request,
  /// the content.
  var acknowledged: [(line: Int, position: Int, content: String)] = []
  /// When the end of each session was acknowledged.
  var endedSessions: [String: Int64] = [:]
  /// The user ids that each name has had, in order. An account that is deleted and registered again
  /// is another one.
  private(set) var accounts: [String: [Int64]] = [:]
  /// The contact lists when everything has come to rest.
  var lastContacts: [(person: String, other: Int64)] = []
  /// Whether each user is online when everything has come to rest.
  var isOnlineAtEnd: [Int64: Bool] = [:]

  /// Notes the user id that a name has now.
  func note(_ user: Int64, of name: String) {
    if accounts[name]?.last != user { accounts[name, default: []].append(user) }
  }
}
