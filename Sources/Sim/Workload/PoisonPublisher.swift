import Environment
import System

/// A program that publishes messages that no service can read to the queues of the services.
///
/// Each of them becomes a dead letter and stops nothing (contract, section 4).
final class PoisonPublisher: SimulatedUser {
  let state: UserState
  private let history: SessionHistory
  private let rendezvous: Rendezvous
  private let run: Duration

  private static let queues: [(exchange: String, name: String)] = [
    ("USER_MANAGER_EXCHANGE", "UME_USER_SERVER"), ("USER_MANAGER_EXCHANGE", "UME_CUSTOMER_SERVER"),
    ("USER_MANAGER_EXCHANGE", "UME_SESSION_SUPERVISOR"), ("SESSION_SUPERVISOR_EXCHANGE", "SSE_HOSTS"),
    ("COMMUNICATION_INTERFACE_EXCHANGE", "CIE_USER_MANAGER"), ("CUSTOMER_SERVER_EXCHANGE", "CSE_USER_MANAGER"),
  ]
  private static let bodies = [
    "", "no JSON", "[]", "{}", "{\"TYPE\":7}", "{\"TYPE\":\"NO_SUCH_TYPE\",\"DATA\":{}}",
    "{\"TYPE\":\"NEW_USER\",\"DATA\":", "\u{0}\u{1}",
  ]
  /// The services declare their queues within this time. A message to a queue that does not exist
  /// is lost.
  private static let declaration: Duration = .seconds(4)

  init(_ state: UserState, history: SessionHistory, rendezvous: Rendezvous, run: Duration) {
    self.state = state
    self.history = history
    self.rendezvous = rendezvous
    self.run = run
    rendezvous.users += 1
  }

  func live(_ environment: Environment) async throws {
    let end = environment.clock.now + run
    let client = AMQPClient(environment, broker: Scenario.broker)
    client.start()
    try await environment.clock.sleep(for: Self.declaration)
    while environment.clock.now < end {
      try await state.pause(mean: state.behavior.thinkTime, environment)
      let queue = state.stream.pick(Self.queues)
      var properties = AMQPProperties()
      let body = state.stream.pick(Self.bodies)
      if state.stream.chance(0.3) {
        properties.headers = ["DATA_FORMAT": .text(state.stream.pick(["BYTES", "PICKLE"]))]
      }
      let id = "\(name)/\(state.stream.choose(1_000_000_000))"
      properties.messageID = AMQPText(id)
      state.lastSeen = "publishes to \(queue.name)"
      state.tally.count(.poison)
      try await client.publish(
        AMQPMessage(exchange: queue.exchange, routingKey: queue.name, properties: properties, body: Array(body.utf8)))
      history.poison += 1
      history.poisonIDs.append(id)
    }
    await client.close()
    rendezvous.settle()
    rendezvous.look()
    state.isServed = true
  }
}
