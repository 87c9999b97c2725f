/// `chat_groups`: the names. `memberships`: one row for each stay of a user in a group, with the
/// first and the last `seq` that it covers; `last_seq` is NULL for a present member.
struct GroupsTable {
  private let connection: SQLSession

  init(_ connection: SQLSession) { self.connection = connection }

  /// Stores a new group without members.
  func create(_ name: String) async throws(DatabaseError) -> GroupID {
    try await connection.first("INSERT INTO chat_groups (name) VALUES ($1) RETURNING group_id", .text(name)) {
      GroupID($0.int(0))
    }!
  }

  /// Makes a user a member, who may read the messages from `sequence` on and none before.
  func join(
    _ group: GroupID, _ user: UserNumber, isAdmin: Bool, from sequence: SequenceNumber
  ) async throws(DatabaseError) {
    try await connection.execute(
      """
      INSERT INTO memberships (group_id, user_number, is_admin, first_seq) VALUES ($1, $2, $3, $4)
      ON CONFLICT DO NOTHING
      """, .int(group.value), .int(user.value), .int(isAdmin ? 1 : 0), .int(sequence.value))
  }

  /// Ends a membership: the user may read the messages up to `sequence`. When the last admin
  /// leaves, the oldest member becomes admin.
  func leave(_ group: GroupID, _ user: UserNumber, after sequence: SequenceNumber) async throws(DatabaseError) {
    try await connection.execute(
      "UPDATE memberships SET last_seq = $3 WHERE group_id = $1 AND user_number = $2 AND last_seq IS NULL",
      .int(group.value), .int(user.value), .int(sequence.value))
    try await connection.execute(
      """
      UPDATE memberships SET is_admin = TRUE WHERE position =
        (SELECT min(position) FROM memberships WHERE group_id = $1 AND last_seq IS NULL)
      AND NOT EXISTS (SELECT 1 FROM memberships WHERE group_id = $1 AND last_seq IS NULL AND is_admin)
      """, .int(group.value))
  }

  /// The role of a present member; nil for anybody else.
  func role(of user: UserNumber, in group: GroupID) async throws(DatabaseError) -> GroupRole? {
    try await connection.first(
      "SELECT is_admin FROM memberships WHERE group_id = $1 AND user_number = $2 AND last_seq IS NULL",
      .int(group.value),
      .int(user.value)
    ) { $0.int(0) != 0 ? .admin : .member }
  }

  /// The present members, oldest membership first.
  func members(of group: GroupID) async throws(DatabaseError) -> [UserNumber] {
    try await connection.query(
      "SELECT user_number FROM memberships WHERE group_id = $1 AND last_seq IS NULL ORDER BY position",
      .int(group.value)
    ) { UserNumber($0.int(0)) }
  }

  /// The members when the message `sequence` was stored, oldest membership first.
  func members(of group: GroupID, at sequence: SequenceNumber) async throws(DatabaseError) -> [UserNumber] {
    try await connection.query(
      """
      SELECT user_number FROM memberships WHERE group_id = $1 AND first_seq <= $2 AND (last_seq IS NULL OR last_seq >= $2)
      ORDER BY position
      """, .int(group.value), .int(sequence.value)
    ) { UserNumber($0.int(0)) }
  }

  func memberCount(of group: GroupID) async throws(DatabaseError) -> Int64 {
    try await connection.first(
      "SELECT count(*) FROM memberships WHERE group_id = $1 AND last_seq IS NULL", .int(group.value)
    ) { $0.int(0) } ?? 0
  }

  /// The groups that a user is a member of, oldest membership first.
  func ids(of user: UserNumber) async throws(DatabaseError) -> [GroupID] {
    try await connection.query(
      "SELECT group_id FROM memberships WHERE user_number = $1 AND last_seq IS NULL ORDER BY position",
      .int(user.value)
    ) { GroupID($0.int(0)) }
  }

  /// A group with its name and its present members, oldest membership first.
  func view(_ id: GroupID) async throws(DatabaseError) -> GroupView {
    let name =
      try await connection.first("SELECT name FROM chat_groups WHERE group_id = $1", .int(id.value)) { $0.text(0) }
      ?? ""
    let members = try await connection.query(
      """
      SELECT m.user_number, u.username FROM memberships m JOIN chat_users u ON u.user_number = m.user_number
      WHERE m.group_id = $1 AND m.last_seq IS NULL ORDER BY m.position
      """, .int(id.value)
    ) { (user: UserNumber($0.int(0)), username: $0.text(1)) }
    return GroupView(id: id, name: name, members: members)
  }
}
