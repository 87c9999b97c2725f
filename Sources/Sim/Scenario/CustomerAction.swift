/// The actions of customers of supervised sessions.
public enum CustomerAction: String, CaseIterable, Sendable {
  case say
  /// Reads what is new in the transcript.
  case read
  /// Requests another user.
  case moreUsers = "more-users"
  /// Ends the session and requests another one.
  case endSession = "end-session"
  /// Requests a session twice at once.
  case raceForSession = "race-for-session"
}
