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
      "the ids of session events are below the next one",
      """
      SELECT event_id FROM session_events
      WHERE event_id > (SELECT seq FROM sqlite_sequence WHERE name = 'session_events')
      UNION ALL SELECT event_id FROM deleted_users
      WHERE event_id > ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'session_events'), 0)
      """),
  ]
}
