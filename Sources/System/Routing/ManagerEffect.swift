import Environment

/// An effect of an input. The commit that stores the changed users and sessions performs its
/// effects in order.
enum ManagerEffect: Sendable {
  case send(exchange: String, key: String, QueueMessage)
  /// The effects after this one are of this request.
  case within(RequestTrace?)
  /// Sends a user's message to a supervisor, and keeps it until it is in the transcript. Refused
  /// when too many messages wait.
  case forward(SessionMessage, SupervisorID, answer: Answer?)
  /// Prepares a session for its next supervisor: declares its queues, and sends the users' messages
  /// that are not in the transcript again, because the last supervisor may hold them.
  case offer(SupervisorID)
  case append(SupervisorID, SessionMessage, answer: Answer?)
  /// Passes a message on to a user, unless one with its SEQ was passed on before.
  case tell(UserID, JSONValue, SupervisorID, answer: Answer?)
  /// New users of a session get the transcript from here on.
  case join([UserID], SupervisorID)
  /// Declares the queues of a foreign supervisor.
  case declare(SupervisorID)
  /// Deletes the queues of a session that is over.
  case remove(SupervisorID)
  /// Deletes a queue that nobody reads any more.
  case forget(queue: String)
  /// Answers a supervisor that took a session with the session's state.
  case brief(SupervisorID, users: [UserID], demand: Int, additional: Int64, Answer?)
  case answer(Answer, JSONValue)
  case deadLetter(AMQPMessage)
  /// Removes the sessions of a customer that have ended, and the others once their users are
  /// released.
  case erase(CustomerEmail, answer: Answer?)
  /// Removes sessions that ended long ago.
  case removeEnded(Retention)
  /// Sends what `sender` said and the transcript lacks again, to the current supervisor.
  case resend(SupervisorID, sender: UserID)

  /// The recipient of an answer.
  struct Answer: Hashable, Sendable {
    enum Destination: Hashable, Sendable {
      case caller(PendingAnswers.Caller)
      case queue(String, correlationID: AMQPText?)
    }

    let destination: Destination
    /// The `TYPE` of the message that is answered.
    let type: String

    /// The caller, if the message came over HTTP.
    var caller: PendingAnswers.Caller? { if case .caller(let caller) = destination { caller } else { nil } }
  }
}
