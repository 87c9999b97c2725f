import System

/// Something that a user or a customer said.
struct Saying {
  let person: String
  /// As transcripts name the sender: a user's id, or `CUSTOMER`.
  let from: JSONValue
  let text: String
  /// The socket that it was said on first, or the session of a customer; what is said on the same one is in order.
  let line: Int
  var interval: Interval
  /// Whether it was answered that it is safe.
  var isAccepted = false
}

/// A message of a transcript, as somebody saw it.
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

/// A socket of a user in the namespace `/users`, and what it heard.
struct UserSocketRecord {
  let person: String
  let user: Int64
  let connected: Int
  let connectedAt: Int64
  var ended: Int?
  var heard: [(time: Int64, entry: TranscriptEntry)] = []
}

/// A customer's session, from its acceptance on.
struct CustomerRun {
  let person: String
  let email: String
  var interval: Interval
  /// Whether the customer ended it, or tried to.
  var isEnding = false
  /// The transcript as it was read last, and whether that was when everything had come to rest.
  var transcript: [TranscriptEntry] = []
  var isFinal = false
  /// What was read in the meantime, each time what was new.
  var followed: [TranscriptEntry] = []
  /// How many requests for it were accepted where only one may be.
  var acceptances = 1
  /// Users that it asked for: those that were surely asked for, to those that may have been.
  var wanted = 1...1
}

/// Everything that users and customers of sessions did and saw.
final class SessionHistory: Timeline {
  var sayings: [Saying] = []
  var sockets: [UserSocketRecord] = []
  /// Users who have gone for good.
  var departed: [(person: String, user: Int64)] = []
  var runs: [CustomerRun] = []
  /// Messages that nobody can read, and that the broker has confirmed.
  var poison = 0
  /// What workers did.
  var work: [WorkLog] = []
  /// What the manager showed of itself when everything had come to rest.
  var overview: JSONValue?
  /// Where in the one order of things that was, and from when on it was asked for.
  var overviewAt = Int.max
  var overviewAskedAt = Int64.max
  /// Time in which the news of a socket gets to the manager, also over a slow network.
  var news: Duration = .seconds(10)
}
