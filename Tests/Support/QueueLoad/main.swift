import Environment
import CLinux
import Glibc
import Real
import System

/// The load of the broker benchmarks: persistent messages of 100 bytes, confirmed by the broker and
/// acknowledged by the consumer. It uses AMQP 0-9-1, so it works with any broker.
///
///     QueueLoad PORT PAIRS SECONDS      PAIRS publishers and consumers, with a queue for each pair
///     QueueLoad PORT fill MESSAGES      fills a queue without consumers
///
/// Publishers keep a window of unconfirmed messages. Prints the confirmed and consumed messages a
/// second.
final class Tally: @unchecked Sendable {
  var confirmed = 0
  var consumed = 0
  var isOver = false
}

/// The messages of a batch, and the unconfirmed batches of each publisher.
let batch = 50
let window = 8

signal(SIGPIPE, SIG_IGN)
let arguments = CommandLine.arguments
guard arguments.count == 4, let port = UInt16(arguments[1]), let amount = Int(arguments[3]) else {
  print("QueueLoad PORT PAIRS SECONDS | QueueLoad PORT fill MESSAGES")
  exit(2)
}
let node = try RealNode.visitor("load", level: .error)
let broker = BrokerAddress(address: SocketAddress(host: "127.0.0.1", port: port))

@Sendable func messages(to queue: String, _ count: Int) -> [AMQPMessage] {
  let body = [UInt8](repeating: UInt8(ascii: "x"), count: 100)
  return Array(
    repeating: AMQPMessage(exchange: "", routingKey: queue, properties: AMQPProperties(), body: body), count: count)
}

@Sendable func connected(_ environment: Environment, _ queue: String) async throws -> AMQPClient {
  let client = AMQPClient(environment, broker: broker)
  await client.declare([.queue(queue, exchange: "")])
  client.start()
  guard await client.isConnected(within: .seconds(10)) else { throw NetworkError.timedOut }
  return client
}

@Sendable func fill(_ environment: Environment, _ count: Int) async throws {
  let client = try await connected(environment, "bench-full")
  var left = count
  while left > 0 {
    let part = min(left, 1000)
    try await client.publish(messages(to: "bench-full", part))
    left -= part
  }
  await client.close()
}

@Sendable func run(_ environment: Environment, _ pairs: Int, _ seconds: Int) async throws -> Tally {
  let tally = Tally()
  var publishers: [(AMQPClient, String)] = []
  for number in 0..<pairs {
    let queue = "bench-\(number)"
    let consumer = try await connected(environment, queue)
    await consumer.consume(queue) { tally.consumed += $0.count }
    publishers.append((try await connected(environment, queue), queue))
  }
  for (publisher, queue) in publishers {
    for _ in 0..<window {
      environment.executor.spawn("publish") {
        while !tally.isOver {
          guard (try? await publisher.publish(messages(to: queue, batch))) != nil else { return }
          tally.confirmed += batch
        }
      }
    }
  }
  // The first second is a warm-up.
  try await environment.clock.sleep(for: .seconds(1))
  tally.consumed = 0
  tally.confirmed = 0
  try await environment.clock.sleep(for: .seconds(seconds))
  tally.isOver = true
  return tally
}

if arguments[2] == "fill" {
  try node.run { environment in try await fill(environment, amount) }
} else if let pairs = Int(arguments[2]), pairs > 0 {
  let tally = try node.run { environment in try await run(environment, pairs, amount) }
  print("confirmed_per_second \(tally.confirmed / amount)")
  print("consumed_per_second \(tally.consumed / amount)")
} else {
  print("PAIRS must be at least 1")
  exit(2)
}
