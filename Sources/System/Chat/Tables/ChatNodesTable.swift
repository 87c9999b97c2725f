/// `chat_nodes`: the nodes of the Chat Service that share a database. A node that has the tables
/// for itself does not use it.
///
/// A row stands for one life of a node, from a start or a return to its end. While it lives, it
/// counts its `beat` up. A dead one has the beat -1, and its row goes after its last socket.
struct ChatNodesTable {
  /// A life of a node.
  struct Row: Sendable {
    let life: String
    let beat: Int64

    var isDead: Bool { beat < 0 }
  }

  private let connection: SQLSession

  init(_ connection: SQLSession) { self.connection = connection }

  /// Begins a life of the node `name`. Its earlier ones are dead.
  func join(_ life: String, name: String) async throws(DatabaseError) {
    try await connection.execute("UPDATE chat_nodes SET beat = -1 WHERE name = $1", .text(name))
    // The sockets of a process that had the tables for itself.
    let strays = try await connection.query(
      "SELECT DISTINCT life FROM sockets WHERE life NOT IN (SELECT life FROM chat_nodes)"
    ) { $0.text(0) }
    for stray in strays { try await insert(stray, name: "", beat: -1) }
    try await insert(life, name: name, beat: 0)
  }

  private func insert(_ life: String, name: String, beat: Int64) async throws(DatabaseError) {
    try await connection.execute(
      "INSERT INTO chat_nodes (life, name, beat) VALUES ($1, $2, $3)", .text(life), .text(name), .int(beat))
  }

  /// Counts the beat of a life up. Returns false if it is dead.
  func beat(_ life: String) async throws(DatabaseError) -> Bool {
    try await connection.execute("UPDATE chat_nodes SET beat = beat + 1 WHERE life = $1 AND beat >= 0", .text(life))
      == 1
  }

  /// All lives, also dead ones with sockets that were not removed yet.
  func all() async throws(DatabaseError) -> [Row] {
    try await connection.query("SELECT life, beat FROM chat_nodes ORDER BY life") {
      Row(life: $0.text(0), beat: $0.int(1))
    }
  }

  /// Whether a node lives. In a transaction that takes its turn this stays true until its end.
  func isAlive(_ life: String) async throws(DatabaseError) -> Bool {
    try await connection.first("SELECT 1 FROM chat_nodes WHERE life = $1 AND beat >= 0", .text(life)) { _ in true }
      ?? false
  }

  /// Declares a node dead unless its beat has changed.
  func bury(_ node: Row) async throws(DatabaseError) {
    try await connection.execute(
      "UPDATE chat_nodes SET beat = -1 WHERE life = $1 AND beat = $2", .text(node.life), .int(node.beat))
  }

  /// Ends a life in order. Its row stays if it has sockets, which the others remove.
  func leave(_ life: String) async throws(DatabaseError) {
    try await connection.execute("UPDATE chat_nodes SET beat = -1 WHERE life = $1", .text(life))
    try await removeEmpty(life)
  }

  /// Removes the row of a life that has no sockets any more.
  func removeEmpty(_ life: String) async throws(DatabaseError) {
    try await connection.execute(
      "DELETE FROM chat_nodes WHERE life = $1 AND NOT EXISTS (SELECT 1 FROM sockets WHERE sockets.life = $1)",
      .text(life))
  }
}
