/// The promises that the rows of the accounts database keep.
enum AccountsInvariants {
  static let all = [
    Invariant(
      "session_count is the number of a user's sessions",
      """
      SELECT user_id FROM users u
      WHERE session_count <> (SELECT count(*) FROM user_sessions s WHERE s.user_id = u.user_id)
      """),
    Invariant(
      "identifiers have 1 to 64 characters",
      """
      SELECT user_id FROM users WHERE length(user_id) NOT BETWEEN 1 AND 64
      UNION ALL SELECT session_id FROM user_sessions WHERE length(session_id) NOT BETWEEN 1 AND 64
      """),
    Invariant(
      "a deleted user has no account",
      "SELECT user_id FROM deleted_users WHERE user_id IN (SELECT user_id FROM users)"),
    Invariant(
      "the ids of session events have no gaps",
      """
      SELECT 'event ' || event_id FROM session_events e
      WHERE event_id > (SELECT min(event_id) FROM session_events)
        AND NOT EXISTS (SELECT 1 FROM session_events p WHERE p.event_id = e.event_id - 1)
      """),
    Invariant(
      "the event of a deleted user is not above the last event",
      """
      SELECT 'event ' || event_id FROM deleted_users
      WHERE event_id > coalesce((SELECT max(event_id) FROM session_events), 0)
      """),
  ]
}
