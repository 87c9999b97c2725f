/// The promises that the rows of the manager's database keep.
enum ManagerInvariants {
  static let all = [
    Invariant(
      "SEQ is 1, 2, 3, … in each transcript",
      """
      SELECT supervisor FROM transcripts GROUP BY supervisor HAVING min(seq) <> 1 OR max(seq) <> count(*)
      """),
    Invariant(
      "a user has received no more than the transcript",
      """
      SELECT supervisor || ' ' || user_key FROM relayed r JOIN sessions USING (supervisor)
      WHERE is_own = 1 AND last_seq NOT BETWEEN 0 AND
        ifnull((SELECT max(seq) FROM transcripts t WHERE t.supervisor = r.supervisor), 0)
      """),
    Invariant(
      "a message is in the transcript or waits for its supervisor",
      """
      SELECT f.message_id FROM forwarded f
      JOIN transcripts t ON t.supervisor = f.supervisor AND t.message_id = f.message_id
      """),
    Invariant(
      "a user is offline, free, or with a supervisor that exists",
      """
      SELECT user_key FROM pool_users
      WHERE CASE place WHEN 'offline' THEN supervisor <> '' WHEN 'free' THEN supervisor <> ''
        WHEN 'serving' THEN supervisor NOT IN (SELECT supervisor FROM sessions) ELSE 1 END
        OR connection NOT BETWEEN 0 AND \(ClientBounds.counter)
      """),
    Invariant(
      "a demand is for 1 to 1,000,000 users",
      "SELECT demand_id FROM demands WHERE user_count NOT BETWEEN 1 AND \(ClientBounds.users)"),
    Invariant(
      "a session has a known status and a number within its bounds",
      """
      SELECT supervisor FROM sessions
      WHERE status NOT IN ('starting', 'running', 'ended') OR epoch NOT BETWEEN 0 AND \(ClientBounds.counter)
        OR additional NOT BETWEEN 0 AND \(ClientBounds.users)
      """),
    Invariant(
      "an outbox has rows of commits that are done",
      """
      SELECT position FROM outbox
      WHERE kind NOT IN ('publish', 'declare', 'remove')
        OR position / \(ManagerCommit.maximumRows) > (SELECT last_commit FROM manager)
      """),
    .reference("transcripts", "supervisor", "sessions", "supervisor"),
    .reference("relayed", "supervisor", "sessions", "supervisor"),
    .reference("forwarded", "supervisor", "sessions", "supervisor"),
    .reference("demands", "supervisor", "sessions", "supervisor"),
  ]
}
