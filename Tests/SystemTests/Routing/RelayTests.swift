@testable import Environment
@testable import Simulation
import Sim
import Testing

@testable import System

/// What the manager passes on to the users of a session. Found by fuzzing.
@Suite("Transcripts are passed on without a gap")
struct RelayTests {
  private let ann = UserID(.int(1))!
  private let bob = UserID(.int(2))!
  private let session = SupervisorID("s1")!

  private func place(_ sequence: Int64) -> JSONValue {
    ["SEQ": .int(sequence), "FROM": "CUSTOMER", "MESSAGE": .string("\(sequence)")]
  }

  /// Who was passed on which places, by commits of these effects on a session with five messages, of which ann said the fourth.
  private func passed(isOwn: Bool = true, _ commits: [ManagerEffect]...) throws -> [String] {
    try World(seed: 1).perform { [ann, bob, session] environment in
      let database = Database(environment, path: "m.db", migrations: ManagerSchema.migrations)
      return try await database.transaction { database in
        let tables = ManagerTables(database)
        _ = try tables.stored(identity: "m")
        var before = ManagerCommit(number: 1)
        before.sessions = [
          ManagedSession(
            id: session, customer: CustomerEmail("c@example.com"), epoch: .first, status: .running,
            host: HostName("h")!, data: .object([]), isOwn: isOwn)
        ]
        before.effects = [.join([ann], session)]
        before.effects += (1...5).map {
          .append(
            session,
            SessionMessage(id: MessageID("m\($0)")!, sender: $0 == 4 ? ann : .customer, text: .string("\($0)")),
            answer: nil)
        }
        _ = try before.run(on: tables, deleting: nil, missedAfter: nil)
        var passed: [String] = []
        for (index, effects) in commits.enumerated() {
          var commit = ManagerCommit(number: Int64(index) + 2)
          commit.effects = effects
          for row in try commit.run(on: tables, deleting: nil, missedAfter: nil).outbox {
            let data = try JSONParser.parse(row.body)["DATA"]!
            passed.append("\(data["USER_ID"] == bob.json ? "bob" : "ann") \(data["MESSAGE_FOR_USER"]!["SEQ"]!.text)")
          }
        }
        return passed
      }
    }
  }

  @Test("what a supervisor skips is passed on before, and not again when it comes late")
  func gap() throws {
    let told = try passed(
      [.tell(ann, place(1), session, answer: nil)], [.tell(ann, place(5), session, answer: nil)],
      [.tell(ann, place(2), session, answer: nil), .tell(ann, place(5), session, answer: nil)])
    #expect(told == ["ann 1", "ann 2", "ann 3", "ann 5"])
  }

  @Test("who joins later hears what comes from then on")
  func newcomer() throws {
    #expect(try passed([.join([bob], session)], [.tell(bob, place(6), session, answer: nil)]) == ["bob 6"])
  }

  @Test("a takeover passes on what its predecessor did not, once, however long that is")
  func takeover() throws {
    let brief = ManagerEffect.brief(session, users: [ann], demand: 0, additional: 0, nil)
    #expect(
      try passed([.tell(ann, place(2), session, answer: nil)], [brief], [brief])
        == ["ann 1", "ann 2", "ann 3", "ann 5"])
  }

  @Test("a foreign supervisor says itself who hears what")
  func foreign() throws {
    let told = try passed(
      isOwn: false, [.tell(ann, place(2), session, answer: nil)], [.tell(ann, place(5), session, answer: nil)])
    #expect(told == ["ann 2", "ann 5"])
  }
}
