/// Why the Customer Server refuses a request.
enum CustomerRefusal: Error {
  case invalidRequest
  /// A field is invalid; `reason` names it.
  case invalidField(_ reason: String)
  case invalidEmailOrPassword
  case invalidSessionToken
  case noSessionPending
  case noSessionRunning
  /// A session of the customer is pending or running. The customer may have lost its token.
  case sessionExists(SessionToken)
  /// No supervisor took the session in time, or the credential server does not answer.
  case sessionCreationFailed
  /// After too many failed passwords; the fields say when to try again.
  case tooManyAttempts(fields: [(name: String, value: String)])
  /// Too many messages of the customer wait for a supervisor.
  case tooManyMessages
  /// The database or the broker does not answer.
  case unavailable
  /// The broker does not answer; the text says what an operator has to do.
  case brokerUnavailable(String)
}
