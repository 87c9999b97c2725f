import System

/// A message of a user or a customer in a supervised session.
struct Saying {
  let person: String
  /// The sender, as transcripts name it: a user id or `CUSTOMER`.
  let from: JSONValue
  let text: String
  /// The index of the socket on which the message was first sent, or of a customer's session.
  /// Messages of one line are in order.
  let line: Int
  var interval: Interval
  /// Whether the message was acknowledged.
  var isAccepted = false
}

/// A message of a transcript, as a reader saw it.
struct TranscriptEntry: Hashable {
  let sequence: Int64
  let from: JSONValue
  let text: String

  init?(_ json: JSONValue) {
    guard let sequence = json["SEQ"]?.int, let from = json["FROM"], let text = json["MESSAGE"]?.string else {
      return nil
    }
    self.sequence = sequence
    self.from = from
    self.text = text
  }
}

/// A connected socket in the namespace `/users`, as its client saw it.
struct UserSocketRecord {
  let person: String
  let user: Int64
  let connected: Int
  let connectedAt: Int64
  var ended: Int?
  var heard: [(time: Int64, entry: TranscriptEntry)] = []
}

/// A supervised session of a customer, from its acceptance.
struct CustomerRun {
  let person: String
  let email: String
  var interval: Interval
  /// Whether the customer has ended the session, or tried to.
  var isEnding = false
  /// The transcript, as it was last read.
  var transcript: [TranscriptEntry] = []
  var isFinal = false
  /// The transcript as the customer followed it, each time with what was new.
  var followed: [TranscriptEntry] = []
  /// How many of simultaneous requests were accepted. Only one may be.
  var acceptances = 1
  /// The users that the customer requested: at least those of requests that took effect, at most
  /// those of all requests.
  var wanted = 1...1
}

/// Everything that users and customers of supervised sessions did and saw.
final class SessionHistory: Timeline {
  var sayings: [Saying] = []
  var sockets: [UserSocketRecord] = []
  /// The users who have left for good.
  var departed: [(person: String, user: Int64)] = []
  var runs: [CustomerRun] = []
  /// The number of confirmed messages that no service can read.
  var poison = 0
  /// The message ids of unreadable messages that were published.
  var poisonIDs: [String] = []
  /// Those of the dead letters that operators may have dropped.
  var droppedIDs: Set<String> = []
  /// Those of the dead letters in the end; nil if they were not read.
  var letterIDs: Set<String>?
  /// The most dead letters that operators have dropped.
  var lettersDropped = 0
  /// The logs of the workers.
  var work: [WorkLog] = []
  /// The logs of the workers that use queues with limits.
  var limits: [LimitsLog] = []
  /// The logs of the workers that use all methods.
  var methods: [MethodLog] = []
  /// The manager's overview when everything had come to rest.
  var overview: JSONValue?
  /// The position of the overview in the order of events, and the time of its first request.
  var overviewAt = Int.max
  var overviewAskedAt = Int64.max
  /// Time in which the manager learns of a new socket, on a slow network too.
  var news: Duration = .seconds(10)
}
