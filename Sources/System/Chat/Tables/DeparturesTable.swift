/// `departures`: the users who are no longer available, until the User Manager knows.
struct DeparturesTable {
  /// A user whose last socket of a connection is closed.
  struct Departure: Sendable {
    let id: Int64
    let user: UserNumber
    let connection: ConnectionNumber
  }

  private let connection: SQLSession

  init(_ connection: SQLSession) { self.connection = connection }

  func insert(_ user: UserNumber, _ number: ConnectionNumber) async throws(DatabaseError) {
    try await connection.execute(
      "INSERT INTO departures (user_number, connection) VALUES ($1, $2)", .int(user.value), .int(number.value))
  }

  /// The oldest departures, at most `limit`, in order.
  func oldest(limit: Int) async throws(DatabaseError) -> [Departure] {
    try await connection.query(
      "SELECT departure_id, user_number, connection FROM departures ORDER BY departure_id LIMIT $1",
      .int(Int64(limit))
    ) { Departure(id: $0.int(0), user: UserNumber($0.int(1)), connection: ConnectionNumber($0.int(2))) }
  }

  func remove(_ departure: Departure) async throws(DatabaseError) {
    try await connection.execute("DELETE FROM departures WHERE departure_id = $1", .int(departure.id))
  }
}
