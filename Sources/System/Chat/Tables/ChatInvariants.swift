/// The promises that the rows of the chat database keep.
enum ChatInvariants {
  static let all = messages + relations + references

  private static let messages = [
    Invariant(
      "seq is 1, 2, 3, … in each conversation, after the messages that were removed",
      """
      SELECT conversation FROM messages m LEFT JOIN removed_messages r USING (conversation)
      GROUP BY conversation
      HAVING min(seq) <> 1 + ifnull(max(r.last_seq), 0) OR max(seq) - min(seq) + 1 <> count(*)
      """),
    Invariant(
      "the positions of messages and publications have no gap",
      """
      WITH kept AS (
        SELECT DISTINCT position FROM publications
        WHERE position > ifnull((SELECT max(last_message) FROM removed_messages), 0)),
        taken AS (
          SELECT position FROM kept
          UNION ALL SELECT message_id FROM messages WHERE message_id >= (SELECT min(position) FROM kept))
      SELECT 'from ' || min(position) || ' to ' || max(position) FROM taken
      HAVING max(position) - min(position) + 1 <> count(*)
      """),
    Invariant(
      "the number of messages is what was counted",
      """
      SELECT messages FROM message_counts
      WHERE messages <> (SELECT count(*) FROM messages WHERE message_id <= counted_through)
      """),
    Invariant(
      "a message is text, an image or an item of at most 65,536 bytes",
      """
      SELECT message_id FROM messages
      WHERE kind NOT IN ('text', 'image', 'item') OR length(CAST(content AS BLOB)) > 65536
      """),
    Invariant(
      "the numbers of messages are in their bounds",
      """
      SELECT message_id FROM messages
      WHERE message_id NOT BETWEEN 1 AND \(ClientBounds.counter) OR seq NOT BETWEEN 1 AND \(ClientBounds.counter)
      """),
    Invariant(
      "the participants of a conversation exist",
      """
      SELECT conversation FROM (
        SELECT DISTINCT conversation, substr(conversation, 2) AS rest, instr(conversation, '-') AS dash FROM messages)
      WHERE CASE substr(conversation, 1, 1)
        WHEN 'g' THEN CAST(rest AS INTEGER) NOT IN (SELECT group_id FROM chat_groups)
        WHEN 'd' THEN CAST(substr(rest, 1, dash - 2) AS INTEGER) NOT IN (SELECT user_number FROM chat_users)
          OR CAST(substr(conversation, dash + 1) AS INTEGER) NOT IN (SELECT user_number FROM chat_users)
        ELSE 1 END
      """),
  ]

  private static let relations = [
    Invariant(
      "a contact is between two users, one of whom asked",
      """
      SELECT low || ', ' || high FROM contacts
      WHERE low >= high OR asker NOT IN (low, high) OR blocker NOT IN (low, high)
        OR status NOT IN ('new', 'friend', 'blocked')
      """),
    Invariant(
      "a stay in a group begins before it ends",
      "SELECT position FROM memberships WHERE first_seq < 1 OR last_seq < first_seq - 1"),
    Invariant(
      "the stays of a user in a group do not overlap",
      """
      SELECT b.position FROM memberships a
      JOIN memberships b ON a.group_id = b.group_id AND a.user_number = b.user_number AND a.position < b.position
      WHERE a.last_seq IS NULL OR a.last_seq >= b.first_seq
      """),
    Invariant(
      "a group with members has an admin",
      """
      SELECT group_id FROM memberships WHERE last_seq IS NULL GROUP BY group_id HAVING max(is_admin) = 0
      """),
    Invariant(
      "a deleted user has no contacts and is in no group",
      """
      SELECT user_number FROM removed_users r
      WHERE EXISTS (SELECT 1 FROM contacts c WHERE r.user_number IN (c.low, c.high))
        OR EXISTS (SELECT 1 FROM memberships m WHERE m.user_number = r.user_number AND m.last_seq IS NULL)
      """),
  ]

  /// The columns that refer to another table, which they do without a constraint, for speed.
  private static let references = [
    ("contacts", "low", "chat_users", "user_number"), ("contacts", "high", "chat_users", "user_number"),
    ("memberships", "user_number", "chat_users", "user_number"),
    ("memberships", "group_id", "chat_groups", "group_id"),
    ("sockets", "user_number", "chat_users", "user_number"),
    ("recoveries", "user_number", "chat_users", "user_number"),
    ("departures", "user_number", "chat_users", "user_number"),
    ("connections", "user_number", "chat_users", "user_number"),
    ("removed_users", "user_number", "chat_users", "user_number"),
    ("messages", "sender", "chat_users", "user_number"),
  ].map(Invariant.reference)
}
