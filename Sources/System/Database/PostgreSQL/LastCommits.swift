/// The name of a transaction that writes: its connection, and its number among those of the
/// connection, from 1.
struct CommitMark: Hashable, Sendable {
  let connection: String
  let number: Int64
}

/// The table `last_commits`: the number of the last transaction that each connection has committed.
///
/// A transaction that writes sets the row of its connection to its own number, together with its
/// first change. If its COMMIT has no answer, the row tells on another connection whether it is
/// durable. The row is as durable as the other changes of the transaction, so it tells the truth
/// after a crash and after a fail-over, too.
enum LastCommits {
  static let schema = """
    CREATE TABLE IF NOT EXISTS last_commits (
      connection VARCHAR(32) COLLATE "C" PRIMARY KEY,
      number BIGINT NOT NULL,
      committed_at TIMESTAMPTZ NOT NULL
    )
    """

  static let write = """
    INSERT INTO last_commits (connection, number, committed_at) VALUES ($1, $2, now())
    ON CONFLICT (connection) DO UPDATE SET number = EXCLUDED.number, committed_at = EXCLUDED.committed_at
    """

  /// Waits for a transaction of the connection that is still open, also for its first one, whose
  /// row nobody can see yet. Roll it back.
  static let read = SQLText(
    postgreSQL: """
      INSERT INTO last_commits (connection, number, committed_at) VALUES ($1, 0, now())
      ON CONFLICT (connection) DO UPDATE SET committed_at = EXCLUDED.committed_at RETURNING number
      """)

  /// Removes the rows of connections that have not committed since a time.
  static let forget = SQLText(postgreSQL: "DELETE FROM last_commits WHERE committed_at < $1")
}
