/// The lease of the active User Manager among the nodes that share the tables: who it is, where it
/// is reached, and a beat that it counts up.
///
/// Whether it may commit is decided by the owner of the tables (`ServiceOwners`), not by this row.
struct ManagerLeaseTable {
  /// What a node that waits sees.
  struct Seen: Sendable {
    /// The life of the manager that owns the tables; nil if there was none yet.
    let owner: String?
    /// The name of its node, its address and its beat; nil before its first beat.
    let holder: Holder?
  }

  struct Holder: Hashable, Sendable {
    let name: String
    let address: SocketAddress
    let beat: Int64
  }

  private let session: SQLSession

  init(_ session: SQLSession) { self.session = session }

  static let schema = SQLTable(
    "manager_lease",
    [
      SQLColumn(#""only""#, .number, .check(#""only" = 1"#)), SQLColumn("life", .varchar(64)),
      SQLColumn("name", .varchar(128)), SQLColumn("host", .varchar(255)), SQLColumn("port", .bigint),
      SQLColumn("beat", .bigint),
    ])

  func seen() async throws(DatabaseError) -> Seen {
    let owner = try await session.first("SELECT owner FROM service_owners WHERE service = 'manager'") { $0.text(0) }
    let holder = try await session.first("SELECT life, name, host, port, beat FROM manager_lease") {
      (
        life: $0.text(0),
        holder: Holder(
          name: $0.text(1), address: SocketAddress(host: $0.text(2), port: UInt16(clamping: $0.int(3))),
          beat: $0.int(4))
      )
    }
    return Seen(owner: owner, holder: holder?.life == owner ? holder?.holder : nil)
  }

  /// The owner of tables that a manager has left in order.
  static let nobody = ""

  /// Leaves the tables to the next one, unless another has taken them over.
  func release(_ life: String) async throws(DatabaseError) {
    try await session.write(
      "UPDATE service_owners SET owner = '' WHERE service = 'manager' AND owner = $1", .text(life))
  }

  /// Counts the beat of the active manager up. In a transaction that checks who owns the tables.
  func beat(_ life: String, name: String, address: SocketAddress) async throws(DatabaseError) {
    try await session.write(
      """
      INSERT INTO manager_lease ("only", life, name, host, port, beat) VALUES (1, $1, $2, $3, $4, 1)
      ON CONFLICT ("only") DO UPDATE SET life = $1, name = $2, host = $3, port = $4, beat = manager_lease.beat + 1
      """, .text(life), .text(name), .text(address.host), .int(Int64(address.port)))
  }
}
