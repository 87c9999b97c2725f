import Environment

/// The erasure of what a customer has at the Customer Server.
struct CustomerErasure {
  /// What was found: 1 or 0 requests or sessions, and the messages of its transcript.
  let requests: Int64
  let messages: Int64
  let isTrial: Bool

  /// Deletes a customer's request or session, and the transcripts of `sessions`.
  static func erase(
    _ email: CustomerEmail, sessions: [SupervisorID], isTrial: Bool, in database: Database, _ limits: WorkLimits
  ) async throws -> CustomerErasure {
    let found = try await database.transaction { connection in
      let tables = CustomerTables(connection)
      let found = try await tables.survey(email)
      if !isTrial { try await tables.erase(email) }
      return found
    }
    if !isTrial { for session in sessions { try await removeTranscript(of: session, in: database, limits) } }
    return CustomerErasure(requests: found.requests, messages: found.messages, isTrial: isTrial)
  }

  /// Deletes a transcript, in transactions of bounded size.
  static func removeTranscript(
    of session: SupervisorID, in database: Database, _ limits: WorkLimits
  ) async throws {
    let limit = limits[.erasedRows]
    while try await !database.transaction({ try await CustomerTables($0).eraseTranscript(of: session, limit: limit) }) {
    }
  }

  /// - Parameter underWay: The customer's requests for a supervisor that were made before.
  func answer(underWay: Int) -> JSONValue {
    [
      "MESSAGE": "ERASED", "REQUESTS": .int(requests), "MESSAGES": .int(messages), "UNDER_WAY": .int(Int64(underWay)),
      "DRY_RUN": .bool(isTrial),
    ]
  }
}
