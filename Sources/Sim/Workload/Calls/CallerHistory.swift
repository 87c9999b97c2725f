import System

/// A request of a caller over HTTP.
struct CallerRequest {
  /// How a request ended for its caller.
  enum Ending {
    case answered(HTTPResponse)
    /// The connection ended, or could not be opened.
    case connectionEnded
    /// The caller has hung up.
    case hungUp
    /// No answer came within the caller's patience, and the connection is open.
    case unanswered
    /// The bytes that came are no answer.
    case garbled(String)
  }

  let person: String
  let row: CallRow
  /// Method, target and arguments, for reports.
  let what: String
  var isMalformed = false
  var spelling = RequestSpelling()
  var interval: Interval
  var ending = Ending.unanswered
  /// Its index in the log of all clients.
  let log: Int

  var status: Int? { if case .answered(let response) = ending { response.status } else { nil } }
}

/// An event that a caller sent with a wish for an acknowledgement.
struct CallerEvent {
  let person: String
  let event: MessageRow
  let data: JSONValue
  /// The session of the socket.
  let session: JSONValue
  var interval: Interval
  var answer: JSONValue?
}

/// Everything that the callers of a run did and saw.
final class CallerHistory: Timeline {
  var calls: [CallerRequest] = []
  var emits: [CallerEvent] = []
  /// The names of the AMQP methods that callers sent.
  var methods: Set<String> = []
  /// The queue messages that callers published.
  var published: [MessageRow] = []
  /// Bytes that came after the last answer on a connection without a request.
  var surplus: [String] = []
}
