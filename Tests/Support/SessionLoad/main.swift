import Environment
import CLinux
import Glibc
import Real
import System

/// The load of the session benchmarks: customers with two users each, who send messages
/// continuously. It counts the messages that reach the customer through the queue, the manager, the
/// supervisor and the Customer Server.
///
///     SessionLoad USERS_PORT CHAT_PORT CUSTOMERS_PORT SESSIONS SECONDS [MESSAGES_PER_SECOND]
///
/// Without a rate each user has 16 undelivered messages at a time. Prints the messages that reach
/// the customers a second, and the latency from the user's socket to the customer, who polls
/// repeatedly.
final class Tally: @unchecked Sendable {
  var reached = 0
  var latencies: [Int64] = []
  var failures = 0
  /// By user: sends another message after one has arrived.
  var again: [Int: () -> Void] = [:]
  var begin: Instant?
  var end: Instant?
}

struct Refused: Error { let what: String }

signal(SIGPIPE, SIG_IGN)
let numbers = CommandLine.arguments.dropFirst().compactMap { Int($0) }
guard numbers.count >= 5, numbers.count == CommandLine.arguments.count - 1 else {
  print("SessionLoad USERS_PORT CHAT_PORT CUSTOMERS_PORT SESSIONS SECONDS [MESSAGES_PER_SECOND]")
  exit(2)
}
let (users, chat, customers) = (address(numbers[0]), address(numbers[1]), address(numbers[2]))
let (sessions, seconds, rate) = (numbers[3], numbers[4], numbers.count > 5 ? Double(numbers[5]) : 0)
let window = 16

func address(_ port: Int) -> SocketAddress { SocketAddress(host: "127.0.0.1", port: UInt16(port)) }

let node = try RealNode.visitor("load", level: .error)

@Sendable func ask(
  _ client: HTTPClient, _ method: String, _ path: String, _ body: JSONValue
) async throws -> JSONValue {
  let response = try await client.send(method, path, json: body, timeout: .seconds(20))
  guard response.status < 300 else {
    throw Refused(what: "\(method) \(path): \(response.status) \(String(decoding: response.body, as: UTF8.self))")
  }
  return try JSONParser.parse(response.body)
}

/// The socket of a user, which sends a message whenever one has arrived.
@Sendable func talk(_ environment: Environment, _ number: Int, _ tally: Tally, _ isReady: @escaping () -> Void)
  async throws
{
  let name = "user-\(number)"
  let http = HTTPClient(environment, address: chat)
  let who: JSONValue = ["username": .string(name), "password": "password123"]
  _ = try await ask(http, "POST", "/register", who)
  guard let session = try await ask(http, "POST", "/login", who)["sessionID"] else { throw Refused(what: "login") }
  http.close()
  let client = SocketIOClient(environment, address: chat, transport: .webSocket)
  try await client.connect(namespace: "/users", auth: ["sessionID": session])
  guard case .connected = try await client.receive() else { throw Refused(what: "socket") }
  isReady()
  while tally.begin == nil { try await environment.clock.sleep(for: .milliseconds(5)) }
  @Sendable func say() async throws {
    let data: JSONValue = ["MESSAGE": .string("\(environment.clock.now.nanoseconds)/\(number)")]
    _ = try await client.emit("user_message", SocketPayload([data]), namespace: "/users", acknowledged: true)
  }
  tally.again[number] = {
    environment.executor.spawn("again") { do { try await say() } catch { tally.failures += 1 } }
  }
  environment.executor.spawn("pace") {
    do {
      if rate == 0 {
        for _ in 0..<window { try await say() }
        return
      }
      let pause = Duration.nanoseconds(Int64(1e9 * Double(sessions * 2) / rate))
      try await environment.clock.sleep(for: pause * Double(environment.entropy.below(100)) / 100)
      while environment.clock.now < tally.end! {
        try await say()
        try await environment.clock.sleep(for: pause)
      }
    } catch {
      tally.failures += 1
    }
  }
  environment.executor.spawn("end") {
    try? await environment.clock.sleep(until: tally.end! + .seconds(1))
    await client.abandon()
  }
  do {
    while true {
      guard case .acknowledged(_, _, let payload) = try await client.receive() else { continue }
      if payload.arguments.first?["status"] != "ok" { tally.failures += 1 }
    }
  } catch {
    return
  }
}

/// A customer, who starts a session and reads its growing transcript.
@Sendable func listen(_ environment: Environment, _ name: String, _ tally: Tally, _ isReady: @escaping () -> Void)
  async throws
{
  let email = "\(name)@example.com"
  let http = HTTPClient(environment, address: users)
  _ = try await ask(
    http, "POST", "/register", ["email": .string(email), "username": .string(name), "password": "password123"])
  http.close()
  let client = HTTPClient(environment, address: customers)
  let token = try await ask(
    client, "POST", "/requestSessionCreation",
    [
      "EMAIL": .string(email), "PASSWORD": "password123", "PERSONA_TYPE": "CUSTOMERS", "DATA": ["USER_COUNT": 2],
    ])["SESSION_TOKEN"]
  _ = try await ask(client, "POST", "/initializeSession", ["EMAIL": .string(email)])
  isReady()
  while tally.begin == nil { try await environment.clock.sleep(for: .milliseconds(5)) }
  var last: Int64 = 0
  while environment.clock.now < tally.end! {
    let answer = try await ask(
      client, "PUT", "/handleSessionRequests",
      [
        "EMAIL": .string(email), "SESSION_TOKEN": token ?? .null, "REQUEST": "GET_MESSAGES",
        "DATA": ["AFTER": .int(last)],
      ])
    let now = environment.clock.now.nanoseconds
    for message in answer["MESSAGES"]?.array ?? [] {
      last = message["SEQ"]?.int ?? last
      tally.reached += 1
      let parts = (message["MESSAGE"]?.string ?? "").split(separator: "/").compactMap { Int64($0) }
      guard parts.count == 2 else { continue }
      tally.latencies.append(now - parts[0])
      if rate == 0 { tally.again[Int(parts[1])]?() }
    }
    // At full load the polling of customers should not dominate.
    try await environment.clock.sleep(for: rate == 0 ? .milliseconds(250) : .milliseconds(1))
  }
}

let tally = try node.run { environment in
  let tally = Tally()
  let ready = Tally()
  for number in 0..<sessions * 2 {
    environment.executor.spawn("user") {
      do { try await talk(environment, number, tally) { ready.reached += 1 } } catch {
        print("user: \(error)")
        tally.failures += 1
      }
    }
  }
  while ready.reached + tally.failures < sessions * 2 { try await environment.clock.sleep(for: .milliseconds(5)) }
  ready.reached = 0
  for number in 0..<sessions {
    environment.executor.spawn("customer") {
      do { try await listen(environment, "customer-\(number)", tally) { ready.reached += 1 } } catch {
        print("customer: \(error)")
        tally.failures += 1
      }
    }
  }
  while ready.reached + tally.failures < sessions { try await environment.clock.sleep(for: .milliseconds(5)) }
  try await environment.clock.sleep(for: .milliseconds(500))
  tally.end = environment.clock.now + .seconds(seconds)
  tally.begin = environment.clock.now
  try await environment.clock.sleep(until: tally.end! + .seconds(2))
  return tally
}
let sorted = tally.latencies.sorted()
func percentile(_ part: Double) -> Double {
  sorted.isEmpty ? 0 : Double(sorted[min(sorted.count - 1, Int(Double(sorted.count) * part))]) / 1e6
}
print("reached_per_second \(tally.reached / seconds)")
print("p50_milliseconds \(percentile(0.5))")
print("p99_milliseconds \(percentile(0.99))")
print("failures \(tally.failures)")
exit(tally.failures == 0 ? 0 : 1)
