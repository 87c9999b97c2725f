@testable import Environment
@testable import Simulation
import Testing

@testable import Sim
@testable import System

/// The removal of ended sessions and of dead letters, by the virtual clock.
@Suite("Retention")
struct SessionRetentionTests {
  /// The time within which what is too old has to be gone.
  private static let margin: Duration = .seconds(8)

  /// Starts a manager on a database that has these sessions with three messages each.
  private func world(
    _ retention: Retention, _ sessions: [(name: String, status: String, endedAt: Int64)]
  ) -> SessionWorld {
    SessionWorld(
      seed: 5, hosts: 0, retention: retention,
      prepare: { node, environment in
        guard node == "manager" else { return }
        let database = Database(environment, path: "manager.db", migrations: ManagerSchema.migrations)
        try await database.transaction { connection in
          _ = try await ManagerTables(connection).stored(identity: "m")
          for session in sessions {
            try await connection.execute(
              """
              INSERT INTO sessions (supervisor, email, epoch, status, host, data, is_own, ended_at, email_key)
              VALUES ($1, 'ann@example.com', 1, $2, 'h', '{}', TRUE, $3, 'ann@example.com')
              """, .text(session.name), .text(session.status), .int(session.endedAt))
            for seq in 1...3 as ClosedRange<Int64> {
              try await connection.execute(
                "INSERT INTO transcripts (supervisor, seq, message_id, sender, message) VALUES ($1, $2, $3, '1', '\"x\"')",
                .text(session.name), .int(seq), .text("m\(seq)"))
            }
          }
        }
        await database.close()
      })
  }

  /// The sessions that are there, with the messages of their transcripts.
  private func sessions(_ world: SessionWorld) throws -> [String: Int64] {
    let node = world.world.node("manager")!
    node.crash(.kill)
    defer {
      node.start()
      world.world.run(until: world.world.now + .milliseconds(200))
    }
    return try world.world.perform(as: "looker-\(world.world.now)") { environment in
      let database = Database(
        node.environmentForOperator(environment), path: "manager.db", migrations: ManagerSchema.migrations)
      let found = try await database.transaction { connection in
        try await connection.query(
          """
          SELECT supervisor, (SELECT count(*) FROM transcripts t WHERE t.supervisor = s.supervisor) FROM sessions s
          """
        ) { ($0.text(0), $0.int(1)) }
      }
      await database.close()
      return Dictionary(uniqueKeysWithValues: found)
    }
  }

  /// The wall clock of the manager when the world begins.
  private func begin() throws -> Int64 {
    try World(seed: 5).perform { $0.clock.wallTime.microseconds }
  }

  @Test("nothing goes before its time, and everything is gone after it")
  func byAge() throws {
    let start = try begin()
    func ended(at second: Int64) -> Int64 { start + second * 1_000_000 }
    let world = world(
      Retention(age: .seconds(60)),
      [
        ("s1", "ended", ended(at: -30)), ("s2", "ended", ended(at: 10)), ("s3", "running", 0), ("s4", "ended", 0),
      ])
    world.world.run(until: .seconds(29))
    #expect(try sessions(world) == ["s1": 3, "s2": 3, "s3": 3, "s4": 3])
    world.world.run(until: .seconds(30) + Self.margin)
    #expect(try sessions(world) == ["s2": 3, "s3": 3, "s4": 3])
    // When s4 ended is not known. The manager saw it within the margin after its start.
    world.world.run(until: .seconds(59))
    #expect(try sessions(world) == ["s2": 3, "s3": 3, "s4": 3])
    world.world.run(until: .seconds(70) + Self.margin)
    #expect(try sessions(world) == ["s3": 3])
    world.world.end()
  }

  @Test("the latest sessions are kept by their number, and running ones do not count")
  func byNumber() throws {
    let start = try begin()
    let world = world(
      Retention(number: 2),
      (1...250).map { ("s\($0)", "ended", start + Int64($0)) } + [("r1", "running", 0)])
    // The first pass comes after a minute. Each removes a bounded number of rows.
    world.world.run(until: .seconds(80))
    #expect(try sessions(world) == ["s249": 3, "s250": 3, "r1": 3])
    world.world.end()
  }

  @Test("without a rule nothing goes")
  func off() throws {
    let world = world(Retention(), [("s1", "ended", 1), ("s2", "ended", 0)])
    world.world.run(until: .seconds(300))
    #expect(try sessions(world) == ["s1": 3, "s2": 3])
    world.world.end()
  }

  @Test("a pass removes a bounded number of rows, and what is left of a transcript has no gap")
  func bounded() throws {
    try World(seed: 1).perform { environment in
      let database = Database(environment, path: "m.db", migrations: ManagerSchema.migrations)
      var limits = WorkLimits()
      limits[.retiredRows] = 40
      let (bounds, maximum) = (limits, Int64(40))
      try await database.transaction { connection in
        _ = try await ManagerTables(connection).stored(identity: "m")
        try await connection.execute(
          """
          INSERT INTO sessions (supervisor, email, epoch, status, host, data, is_own, ended_at, email_key)
          VALUES ('s1', 'ann@example.com', 1, 'ended', 'h', '{}', TRUE, 1, 'ann@example.com')
          """)
        for seq in 1...(maximum * 2) {
          try await connection.execute(
            "INSERT INTO transcripts (supervisor, seq, message_id, sender, message) VALUES ('s1', $1, $2, '1', '1')",
            .int(seq), .text("m\(seq)"))
        }
      }
      for left in [maximum, 0] {
        try await database.transaction { connection in
          let table = EndedSessionsTable(connection)
          var pass = try await table.pass(
            Retention(age: .seconds(1)), at: Timestamp(microseconds: 9_000_000), bounds)
          #expect(try await table.removeNext(&pass) == nil)
          guard case .more = try await table.progress(of: pass) else {
            Issue.record("the pass is over")
            return
          }
          let found = try await connection.first("SELECT count(*), coalesce(max(seq), 0) FROM transcripts") {
            [$0.int(0), $0.int(1)]
          }
          #expect(found == [left, left])
        }
      }
      await database.close()
    }
  }

  /// The bodies of the dead letters, in order.
  private func letters(_ session: SessionWorld) throws -> [String] {
    try session.world.perform(as: "operator-\(session.world.now)") { environment in
      let queues = try await QueueOperator(environment, broker: SessionWorld.broker)
      let letters = try await queues.deadLetters(limit: 1000).letters
      try await queues.close()
      return letters.map(\.body)
    }
  }

  private static func wrong(_ body: String) -> AMQPMessage {
    SessionWorld.message(QueueNames.fromUserServer, body, replyTo: nil)
  }

  private func put(_ messages: [AMQPMessage], _ session: SessionWorld) throws {
    try session.world.perform(as: "publisher-\(session.world.now)") { environment in
      let client = AMQPClient(environment, broker: SessionWorld.broker)
      client.start()
      try await client.publish(messages)
      await client.close()
    }
  }

  /// A letter as an earlier release has set it aside, without a lifetime.
  private static func early(_ body: String) -> AMQPMessage {
    var properties = AMQPProperties()
    properties.deliveryMode = 2
    properties.headers = [DeadLetterOrigin.queue: .text("q"), "own": .int32(7), "CC": .array([.text("answers")])]
    return AMQPMessage(
      exchange: "", routingKey: QueueNames.deadLetters, properties: properties, body: Array(body.utf8))
  }

  @Test("a dead letter is dropped after its time, and not before")
  func deadLetters() throws {
    let session = SessionWorld(seed: 7, hosts: 0, deadLetters: Retention(age: .seconds(60)))
    try put([Self.wrong("no JSON")], session)
    let published = session.world.now
    session.world.run(until: published + .seconds(58))
    #expect(try letters(session) == ["no JSON"])
    session.world.run(until: published + .seconds(60) + Self.margin)
    #expect(try letters(session) == [])
    session.world.end()
  }

  @Test("the lifetime of dead letters that were there before begins with the next pass")
  func earlyLetters() throws {
    let session = SessionWorld(seed: 7, hosts: 0, deadLetters: Retention(age: .seconds(60)))
    try put([Self.early("a"), Self.early("b"), Self.wrong("c")], session)
    let published = session.world.now
    session.world.run(until: published + .seconds(58))
    #expect(try letters(session).sorted() == ["a", "b", "c"])
    session.world.run(until: published + .seconds(66) + Self.margin)
    #expect(try letters(session) == [])
    session.world.end()
  }

  @Test("the latest dead letters are kept", arguments: [nil, Duration.seconds(3600)])
  func numberOfLetters(age: Duration?) throws {
    let session = SessionWorld(seed: 7, hosts: 0, deadLetters: Retention(age: age, number: 2))
    let bodies = ["a", "b", "c", "d", "e"]
    try put(bodies.map(Self.wrong), session)
    session.world.run(until: session.world.now + .seconds(65))
    #expect(try letters(session) == ["d", "e"])
    try put([Self.wrong("f")], session)
    session.world.run(until: session.world.now + .seconds(65))
    #expect(try letters(session) == ["e", "f"])
    session.world.end()
  }
}
