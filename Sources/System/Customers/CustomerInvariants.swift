/// The promises that the rows of the customers' database keep.
enum CustomerInvariants {
  static let all = [
    Invariant(
      "SEQ is 1, 2, 3, … in each transcript",
      """
      SELECT supervisor FROM session_messages GROUP BY supervisor HAVING min(seq) <> 1 OR max(seq) <> count(*)
      """, isAboutOthers: true),
    Invariant(
      "a session is pending, being initialized or running, and a running one has a supervisor",
      """
      SELECT email_key FROM customer_sessions
      WHERE status NOT IN ('PENDING', 'INITIALIZING', 'RUNNING') OR status = 'RUNNING' AND supervisor = ''
      """),
    Invariant(
      "a message that waits for a transcript belongs to a session and has one of its numbers",
      """
      SELECT message_id FROM unheard u
      WHERE number < 1 OR NOT EXISTS (
        SELECT 1 FROM customer_sessions s WHERE s.supervisor = u.supervisor AND s.last_sent >= u.number)
      """),
  ]
}
