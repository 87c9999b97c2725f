/// The database of the Customer Server: requests for sessions, sessions, their transcripts, and the
/// customers' messages that are not in the transcripts.
enum CustomerSchema {
  static let migrations = Migrations(
    DatabaseSchema([
      SQLTable(
        "customer_sessions",
        [
          SQLColumn("email_key", .anyVarchar(255), .primaryKey), SQLColumn("email", .anyVarchar(255)),
          SQLColumn("status", .varchar(16)), SQLColumn("token", .varchar(64)), SQLColumn("data", .text),
          SQLColumn("requested_at", .bigint), SQLColumn("supervisor", .varchar(64)), SQLColumn("last_sent", .bigint),
          SQLColumn("request", .anyVarchar(255), .standard("''")),
        ], .index(SQLIndex("customer_sessions_by_supervisor", "supervisor"))),
      SQLTable(
        "session_messages",
        [
          SQLColumn("supervisor", .varchar(64)), SQLColumn("seq", .bigint), SQLColumn("sender", .text),
          SQLColumn("message", .text),
        ], .primaryKey(["supervisor", "seq"])),
      SQLTable(
        "unheard",
        [
          SQLColumn("supervisor", .varchar(64)), SQLColumn("number", .bigint),
          SQLColumn("message_id", .anyVarchar(255)),
          SQLColumn("message", .text),
        ], .primaryKey(["supervisor", "number"])),
    ]),
    from: [
      "ALTER TABLE customer_sessions ADD COLUMN request VARCHAR(255) NOT NULL DEFAULT '';",
      // Earlier releases compared emails in lower case.
      Migrations.Step(foldEmailKeys),
    ])

  /// Gives each session the folded key of its email.
  ///
  /// Of two sessions that now share a key, a running one gets it. The other keeps its old key,
  /// under which nobody finds it, and ends like a session whose customer is gone.
  private static func foldEmailKeys(_ connection: SQLSession) async throws(DatabaseError) {
    let rows = try await connection.query(
      "SELECT email_key, email FROM customer_sessions ORDER BY status DESC, requested_at, email_key"
    ) { (key: $0.text(0), email: CustomerEmail($0.text(1))) }
    for row in rows {
      guard let email = row.email else { continue }
      try await connection.execute(
        "UPDATE OR IGNORE customer_sessions SET email_key = $1 WHERE email_key = $2", .text(email.key), .text(row.key))
    }
  }
}
