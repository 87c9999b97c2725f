import Environment
import System

/// Puts what nobody can read into every queue (contract section 4: it goes to the dead letters, and stops nothing).
final class Vandal: Resident<SessionHistory, SessionCommons, SessionAction>, Inhabitant, @unchecked Sendable {
  /// Exchange and queue.
  private static let queues = [
    ("USER_MANAGER_EXCHANGE", "UME_USER_SERVER"), ("USER_MANAGER_EXCHANGE", "UME_CUSTOMER_SERVER"),
    ("USER_MANAGER_EXCHANGE", "UME_SESSION_SUPERVISOR"), ("SESSION_SUPERVISOR_EXCHANGE", "SSE_HOSTS"),
    ("COMMUNICATION_INTERFACE_EXCHANGE", "CIE_USER_MANAGER"), ("CUSTOMER_SERVER_EXCHANGE", "CSE_USER_MANAGER"),
  ]
  private static let bodies = [
    "", "no JSON", "[]", "{}", "{\"TYPE\":7}", "{\"TYPE\":\"NO_SUCH_TYPE\",\"DATA\":{}}",
    "{\"TYPE\":\"NEW_USER\",\"DATA\":", "\u{0}\u{1}",
  ]

  func live(_ environment: Environment) async throws {
    let end = environment.clock.now + agenda.run
    let client = AMQPClient(environment, broker: Scenario.broker)
    client.start()
    // What goes to a queue that nobody has made yet is nowhere, as the protocol says.
    try await environment.clock.sleep(for: .seconds(4))
    while environment.clock.now < end {
      try await environment.clock.sleep(for: stream.exponential(mean: behavior.thinkTime))
      let (exchange, queue) = stream.pick(Self.queues)
      var properties = AMQPProperties()
      let body = stream.pick(Self.bodies)
      if stream.chance(0.3) { properties.headers = ["DATA_FORMAT": .text(stream.pick(["BYTES", "PICKLE"]))] }
      properties.messageID = "\(name)/\(stream.choose(1_000_000_000))"
      lastSeen = "spoils \(queue)"
      tally.count(.poison)
      try await client.publish(
        AMQPMessage(exchange: exchange, routingKey: queue, properties: properties, body: Array(body.utf8)))
      history.poison += 1
    }
    await client.close()
    commons.settled += 1
    commons.looked += 1
    isServed = true
  }
}
