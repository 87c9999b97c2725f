@testable import Environment
import Testing

@testable import Sim
@testable import System

/// `/health` checks everything that a service needs.
@Suite("Health")
struct HealthTests {
  private static let services = [SessionWorld.manager, SessionWorld.customers, SessionWorld.chat]

  private func statuses(_ session: SessionWorld) throws -> [Int] {
    try (Self.services + [SessionWorld.credentials]).map { try session.ask($0, "GET", "/health").status }
  }

  @Test("each service that needs the broker reports when it hangs and when it is back")
  func broker() throws {
    let session = SessionWorld(seed: 31)
    session.addUsersAndChat()
    #expect(try statuses(session) == [200, 200, 200, 200])
    session.world.node("broker")!.pause()
    session.world.run(until: session.world.now + .seconds(1))
    #expect(try statuses(session) == [503, 503, 503, 200])
    session.world.node("broker")!.resume()
    session.world.run(until: session.world.now + .seconds(10))
    #expect(try statuses(session) == [200, 200, 200, 200])
    session.world.node("broker")!.crash(.power)
    session.world.run(until: session.world.now + .seconds(1))
    #expect(try statuses(session) == [503, 503, 503, 200])
    session.world.end()
  }

  @Test("each question to the broker has its own time-out")
  func patience() throws {
    let session = SessionWorld(seed: 32)
    #expect(try session.ask(SessionWorld.manager, "GET", "/health").status == 200)
    session.world.run(until: session.world.now + .milliseconds(2500))
    let broker = session.world.node("broker")!
    broker.pause()
    session.world.at(session.world.now + .seconds(1)) { broker.resume() }
    // The time-out of the first question ends before the broker resumes; that of this one does not.
    #expect(try session.ask(SessionWorld.manager, "GET", "/health").status == 200)
    session.world.end()
  }

  @Test("concurrent callers share a question, and a good answer is cached for a second")
  func cost() throws {
    let session = SessionWorld(seed: 33)
    let frames = try session.world.perform(as: "prober") { environment in
      let client = AMQPClient(environment, broker: SessionWorld.broker)
      client.start()
      let isConnected = await client.isConnected(within: .seconds(5))
      #expect(isConnected)
      let before = await client.questionsAsked
      async let first = client.isAnswering()
      async let second = client.isAnswering()
      #expect(await [first, second, client.isAnswering()] == [true, true, true])
      for _ in 0..<50 { #expect(await client.isAnswering()) }
      let after = await client.questionsAsked
      await client.close()
      return after - before
    }
    #expect(frames == 1)
    session.world.end()
  }

  @Test("a chat that is configured without a broker is healthy")
  func alone() throws {
    let session = SessionWorld(seed: 34)
    session.add("chat") { environment in
      var options = ChatServiceOptions()
      options.address = SessionWorld.chat
      return try await ChatService.start(environment, options)
    }
    session.world.run(until: session.world.now + .seconds(1))
    #expect(try session.ask(SessionWorld.chat, "GET", "/health").status == 200)
    session.world.end()
  }
}
