/// The database of the Customer Server: requests for sessions, sessions, their transcripts, and the
/// customers' messages that are not in the transcripts.
enum CustomerSchema {
  static let migrations = Migrations(
    """
    CREATE TABLE customer_sessions (
      email_key VARCHAR(255) PRIMARY KEY,
      email VARCHAR(255) NOT NULL,
      status VARCHAR(16) NOT NULL,
      token VARCHAR(64) NOT NULL,
      data TEXT NOT NULL,
      requested_at BIGINT NOT NULL,
      supervisor VARCHAR(64) NOT NULL,
      last_sent BIGINT NOT NULL,
      request VARCHAR(255) NOT NULL DEFAULT ''
    );
    CREATE INDEX customer_sessions_by_supervisor ON customer_sessions (supervisor);
    CREATE TABLE session_messages (
      supervisor VARCHAR(64) NOT NULL,
      seq BIGINT NOT NULL,
      sender TEXT NOT NULL,
      message TEXT NOT NULL,
      PRIMARY KEY (supervisor, seq)
    );
    CREATE TABLE unheard (
      supervisor VARCHAR(64) NOT NULL,
      number BIGINT NOT NULL,
      message_id VARCHAR(255) NOT NULL,
      message TEXT NOT NULL,
      PRIMARY KEY (supervisor, number)
    );
    """,
    from: [
      "ALTER TABLE customer_sessions ADD COLUMN request VARCHAR(255) NOT NULL DEFAULT '';",
      // Earlier releases compared emails in lower case.
      Migrations.Step(foldEmailKeys),
    ])

  /// Gives each session the folded key of its email.
  ///
  /// Of two sessions that now share a key, a running one gets it. The other keeps its old key,
  /// under which nobody finds it, and ends like a session whose customer is gone.
  private static func foldEmailKeys(_ connection: SQLConnection) throws(DatabaseError) {
    let rows = try connection.query(
      "SELECT email_key, email FROM customer_sessions ORDER BY status DESC, requested_at, email_key"
    ) { (key: $0.text(0), email: CustomerEmail($0.text(1))) }
    for row in rows {
      guard let email = row.email else { continue }
      try connection.execute(
        "UPDATE OR IGNORE customer_sessions SET email_key = $1 WHERE email_key = $2", .text(email.key), .text(row.key))
    }
  }
}
