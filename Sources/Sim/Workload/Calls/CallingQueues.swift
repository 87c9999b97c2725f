import Environment
import Simulation
import System

/// The queue messages of a caller that is trusted as a service is: any message of the tables, from
/// either end of each queue, once or twice.
final class CallingQueues {
  private let caller: CallerState
  private let client: AMQPClient
  private let answers: String
  private var last: AMQPMessage?
  private var isStarted = false

  init(_ caller: CallerState, _ environment: Environment) {
    self.caller = caller
    client = AMQPClient(environment, broker: Scenario.broker)
    answers = "ANSWERS_\(caller.user.name)"
  }

  private var stream: ChoiceStream { caller.user.stream }

  /// Publishes a message.
  /// - Throws: `NodeDown`, `CancellationError`.
  func step() async throws {
    try await start()
    guard let call = stream.pickAny(of: caller.messages) else { return }
    caller.user.tally.count(.calls)
    caller.history.published.append(call.row)
    let message = last.flatMap { stream.chance(0.1) ? $0 : nil } ?? message(call)
    caller.user.lastSeen =
      "publishes \(String(decoding: message.body.prefix(200), as: UTF8.self)) to \(message.routingKey)"
    last = message
    do {
      try await client.publish(stream.chance(0.1) ? [message, message] : [message])
    } catch  where !(error is NodeDown || error is CancellationError) {
      // The broker has refused it: there may be no such exchange.
    }
  }

  private func start() async throws {
    guard !isStarted else { return }
    isStarted = true
    await client.declare([.queue(answers, exchange: "")])
    client.start()
    let known = Confined(caller.known)
    await client.consume(answers, exclusive: true) { deliveries in
      for delivery in deliveries {
        if let body = try? JSONParser.parse(delivery.body) { known.value.learn(body, named: "") }
      }
    }
  }

  private func message(_ call: MessageCall) -> AMQPMessage {
    var data: [JSONValue.Member] = []
    if case .object(let fields) = call.row.data { data = caller.grammar.object(fields) }
    let body: JSONValue = ["TYPE": .string(call.row.name), "DATA": .object(data)]
    var properties = AMQPProperties()
    properties.deliveryMode = 2
    if let supervisor = caller.known.draw(["sessionsupervisorid"], stream)?.string {
      var headers: AMQPTable = ["SESSION_SUPERVISOR_ID": .text(supervisor)]
      if stream.chance(0.7) { headers["SESSION_EPOCH"] = .int64(Int64(stream.choose(4))) }
      properties.headers = headers
    }
    if call.row.answer != nil, stream.chance(0.8) {
      properties.replyTo = AMQPText(answers)
      properties.correlationID = "\(stream.choose(1_000_000))"
    }
    return AMQPMessage(
      exchange: call.exchange ?? "", routingKey: queue(call.row.channel), properties: properties, body: body.bytes)
  }

  /// The name of the queue. That of a session holds the id of its supervisor.
  private func queue(_ channel: String) -> String {
    guard channel.contains("{") else { return channel }
    let id = caller.known.draw(["sessionsupervisorid"], stream)?.string ?? caller.user.name
    let parts = channel.split(separator: "{", maxSplits: 1)
    return parts[0] + id + parts[1].drop { $0 != "}" }.dropFirst()
  }

  /// Closes the client.
  func close() async { if isStarted { await client.close() } }
}
