@testable import Environment
@testable import Simulation
import Sim
import Testing

@testable import System

/// The messages that the manager relays to the users of a session. Found by fuzzing.
@Suite("Transcripts are relayed without a gap")
struct RelayTests {
  private let ann = UserID(.int(1))!
  private let bob = UserID(.int(2))!
  private let session = SupervisorID("s1")!

  private func entry(_ sequence: Int64) -> JSONValue {
    ["SEQ": .int(sequence), "FROM": "CUSTOMER", "MESSAGE": .string("\(sequence)")]
  }

  /// Returns the relayed messages, as user and SEQ, after commits of these effects. The session has
  /// five messages, of which ann sent the fourth.
  private func relayed(isOwn: Bool = true, _ commits: [ManagerEffect]...) throws -> [String] {
    try World(seed: 1).perform { [ann, bob, session] environment in
      let database = Database(environment, path: "m.db", migrations: ManagerSchema.migrations)
      return try await database.transaction { database in
        let tables = ManagerTables(database)
        _ = try await tables.stored(identity: "m")
        var before = ManagerCommit(number: 1, at: Timestamp(microseconds: 1))
        before.sessions = [
          ManagedSession(
            id: session, customer: CustomerEmail("c@example.com"), epoch: .first, status: .running,
            host: HostName("h")!, data: .object([]), isOwn: isOwn)
        ]
        before.effects = [.join([ann], session)]
        before.effects += (1...5).map {
          .append(
            session,
            SessionMessage(id: SessionMessageID("m\($0)")!, sender: $0 == 4 ? ann : .customer, text: .string("\($0)")),
            answer: nil)
        }
        _ = try await before.run(on: tables, deleting: nil, missedAfter: nil)
        var relayed: [String] = []
        for (index, effects) in commits.enumerated() {
          var commit = ManagerCommit(number: Int64(index) + 2, at: Timestamp(microseconds: 2))
          commit.effects = effects
          for row in try await commit.run(on: tables, deleting: nil, missedAfter: nil).outbox {
            let data = try JSONParser.parse(row.body)["DATA"]!
            relayed.append("\(data["USER_ID"] == bob.json ? "bob" : "ann") \(data["MESSAGE_FOR_USER"]!["SEQ"]!.text)")
          }
        }
        return relayed
      }
    }
  }

  @Test("a skipped message is relayed first, and not again when the supervisor sends it late")
  func gap() throws {
    let found = try relayed(
      [.tell(ann, entry(1), session, answer: nil)], [.tell(ann, entry(5), session, answer: nil)],
      [.tell(ann, entry(2), session, answer: nil), .tell(ann, entry(5), session, answer: nil)])
    #expect(found == ["ann 1", "ann 2", "ann 3", "ann 5"])
  }

  @Test("a user who joins later gets the messages from then on")
  func newcomer() throws {
    #expect(try relayed([.join([bob], session)], [.tell(bob, entry(6), session, answer: nil)]) == ["bob 6"])
  }

  @Test("a takeover relays what the last supervisor did not, once")
  func takeover() throws {
    let brief = ManagerEffect.brief(session, users: [ann], demand: 0, additional: 0, nil)
    #expect(
      try relayed([.tell(ann, entry(2), session, answer: nil)], [brief], [brief])
        == ["ann 1", "ann 2", "ann 3", "ann 5"])
  }

  @Test("a foreign supervisor decides itself which user gets what")
  func foreign() throws {
    let found = try relayed(
      isOwn: false, [.tell(ann, entry(2), session, answer: nil)], [.tell(ann, entry(5), session, answer: nil)])
    #expect(found == ["ann 2", "ann 5"])
  }
}
