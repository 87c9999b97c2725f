@testable import Environment
import Testing

@testable import Sim
@testable import System

/// Rows that an earlier release stored without a check. A service that reads them starts and works.
@Suite("Stored rows out of bounds")
struct StoredRowTests {
  private static let intoSessions =
    "INSERT INTO sessions (supervisor, email, epoch, status, host, data, is_own, additional, request) VALUES"

  private static let deep = String(repeating: "[", count: 120) + String(repeating: "]", count: 120)

  private static let managerRows = [
    "INSERT INTO pool_users VALUES ('not JSON', 1, 'free', '', 1)",
    "INSERT INTO pool_users VALUES ('{}', 1, 'free', '', 2)",
    "INSERT INTO pool_users VALUES ('1', 9223372036854775807, 'nowhere', '', 9223372036854775807)",
    "INSERT INTO pool_users VALUES ('2', -9223372036854775808, 'free', '', 9223372036854775807)",
    "INSERT INTO pool_users VALUES ('3', 1, 'serving', '!', -9223372036854775808)",
    "INSERT INTO demands VALUES (9223372036854775807, 's1', 9223372036854775807)",
    "INSERT INTO demands VALUES (-5, 's1', 1)", "INSERT INTO demands VALUES (6, '!', 1)",
    "INSERT INTO demands VALUES (7, 's1', -1)", "INSERT INTO demands VALUES (8, 's1', 9223372036854775807)",
    "INSERT INTO demands VALUES (9, 's2', 9223372036854775807)",
    """
    \(intoSessions)
      ('s1', 'ann@example.com', 3, 'running', 'gone', '{"USER_COUNT":9223372036854775807}', 1, 9223372036854775807, 'r')
    """,
    "\(intoSessions) ('s2', 'b@example.com', 9223372036854775807, 'running', 'gone', 'x', 1, -1, '')",
    "\(intoSessions) ('s3', 'c@example.com', 1, 'unknown', 'gone', '{}', 1, 0, '')",
    "\(intoSessions) ('!', 'd@example.com', 1, 'running', 'gone', '{}', 1, 0, '')",
    "\(intoSessions) ('s4', 'e@example.com', -1, 'starting', '', '\(deep)', 1, 0, '')",
    "\(intoSessions) ('s5', 'f@example.com', 1, 'starting', '', '{\"x\":\(deep)}', 1, 0, '')",
    "\(intoSessions) ('s6', 'no email', 1, 'running', 'gone', '{}', 1, 0, '')",
    "INSERT INTO pool_users VALUES ('6', 1, 'serving', 's6', 3)",
    "INSERT INTO transcripts VALUES ('s1', 9223372036854775807, 'm', '7', '\"x\"')",
    "INSERT INTO relayed VALUES ('s1', '7', 9223372036854775807)",
    "INSERT INTO relayed VALUES ('s1', '8', -9223372036854775808)",
    "INSERT INTO forwarded VALUES (1, 's1', 'm1', 'not JSON', '\(deep)', 0)",
    "INSERT INTO forwarded VALUES (2, 's1', 'm2', '7', 'not JSON', 0)",
    "INSERT INTO outbox VALUES (1, 'unknown', '', 'q', x'', x'')",
    "INSERT INTO outbox VALUES (2, 'publish', '', 'q', x'FFFFFFFF', x'00')",
    "INSERT INTO outbox VALUES (3, 'publish', '', '\(String(repeating: "é", count: 200))', x'0000', x'00')",
    "INSERT INTO outbox VALUES (4, 'remove', '', '\(String(repeating: "é", count: 200))', x'', x'')",
    "INSERT INTO outbox VALUES (5, 'declare', '', '\(String(repeating: "é", count: 200))', x'', x'')",
    "UPDATE manager SET next_session = 10",
  ]

  @Test("the manager starts again, serves its sessions and takes new ones")
  func manager() throws {
    let session = SessionWorld(seed: 1) { node, environment in
      guard node == "manager" else { return }
      let database = Database(environment, path: "manager.db", migrations: ManagerSchema.migrations)
      try await database.transaction { database in
        _ = try await ManagerTables(database).stored(identity: "m")
        for row in Self.managerRows { try await database.run(row) }
      }
      await database.close()
    }
    session.world.run(until: .seconds(30))
    #expect(session.world.node("manager")!.failedStarts == 0)
    #expect(try session.managerAnswers())
    let overview = try session.ask(SessionWorld.manager, "GET", "/SessionSupervisor").body["SUPERVISORS"]?.array ?? []
    #expect(overview.first { $0["SESSION_SUPERVISOR_ID"] == "s1" }?["STATUS"] == "running")
    #expect(!overview.contains { $0["SESSION_SUPERVISOR_ID"] == "s6" }, "a session without an email is set aside")
    let users = try session.ask(SessionWorld.manager, "GET", "/UserServer").body["USERS"]?.array ?? []
    let released = users.first { $0["USER_ID"] == 6 }?["SESSION_SUPERVISOR_ID"]
    #expect(released != nil && released != "s6", "its user is with another session or free")
    let start = #"{"TYPE":"START_SESSION","DATA":{"EMAIL":"new@example.com"}}"#
    let (answers, _) = try session.publish([SessionWorld.message(QueueNames.fromCustomerServer, start)]) { answers, _ in
      !answers.isEmpty
    }
    #expect(answers == [["STATUS": "SUCCESS"]])
    session.restart("manager")
    #expect(session.world.node("manager")!.failedStarts == 0)
    #expect(try session.managerAnswers())
    session.world.end()
  }

  private static let customerRows = [
    "INSERT INTO customer_sessions VALUES ('a@x', 'a@x', 'UNKNOWN', 't', '{}', 0, '', 0, '')",
    "INSERT INTO customer_sessions VALUES ('b@x', 'b@x', 'PENDING', 't', 'not JSON', -9223372036854775808, '!', 0, '')",
    "INSERT INTO customer_sessions VALUES ('c@x', 'c@x', 'PENDING', 't', '{}', 9223372036854775807, '', 0, '')",
    "INSERT INTO customer_sessions VALUES ('d@x', 'd@x', 'RUNNING', 't', '{}', 0, '!', 9223372036854775807, '')",
    "INSERT INTO customer_sessions VALUES ('e@x', 'e@x', 'RUNNING', 't', '{}', 0, 's9', 9223372036854775807, '')",
    "INSERT INTO session_messages VALUES ('s9', 9223372036854775807, 'not JSON', '\(deep)')",
    "INSERT INTO unheard VALUES ('s9', -9223372036854775808, 'm', 'not JSON')",
  ]

  @Test("the Customer Server starts again and answers", arguments: ["a@x", "b@x", "c@x", "d@x", "e@x"])
  func customers(email: String) throws {
    let session = SessionWorld(seed: 2, initializeTimeout: .seconds(1)) { node, environment in
      guard node == "customers" else { return }
      let database = Database(environment, path: "customers.db", migrations: CustomerSchema.migrations)
      try await database.transaction { database in for row in Self.customerRows { try await database.run(row) } }
      await database.close()
    }
    for request in ["GET_MESSAGES", "SEND_MESSAGE", "ADDITIONAL_USERS", "END_SESSION"] {
      let answer = try session.ask(
        SessionWorld.customers, "PUT", "/handleSessionRequests",
        ["EMAIL": .string(email), "SESSION_TOKEN": "t", "REQUEST": .string(request), "DATA": ["MESSAGE": "x"]])
      #expect([200, 404].contains(answer.status), "\(request)")
    }
    let answer = try session.ask(SessionWorld.customers, "POST", "/initializeSession", ["EMAIL": .string(email)])
    #expect([200, 404, 500].contains(answer.status))
    #expect(try session.ask(SessionWorld.customers, "GET", "/serverRunning").status == 200)
    session.world.end()
  }
}
