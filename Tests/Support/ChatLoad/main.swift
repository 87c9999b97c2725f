import Environment
import CLinux
import Glibc
import Real
import System

/// The load of the chat benchmarks: sockets that send messages to each other, as fast as they are
/// acknowledged or at a given rate.
///
///     ChatLoad PORT FILE SECONDS [MESSAGES_PER_SECOND]
///
/// Each line of the file describes a socket: `SESSION RECIPIENT IS_GROUP`. Prints the stored and
/// delivered messages a second, and the latency from sending a message to receiving it.
final class Tally: @unchecked Sendable {
  var stored = 0
  var heard = 0
  var latencies: [Int64] = []
  var failures = 0
  var connected = 0
}

signal(SIGPIPE, SIG_IGN)
let arguments = CommandLine.arguments
guard arguments.count >= 4, let port = UInt16(arguments[1]), let seconds = Int64(arguments[3]),
  let file = fopen(arguments[2], "r")
else {
  print("ChatLoad PORT FILE SECONDS [MESSAGES_PER_SECOND]")
  exit(2)
}
var lines: [[Substring]] = []
var buffer = [CChar](repeating: 0, count: 4096)
while fgets(&buffer, 4096, file) != nil {
  let text = String(decoding: buffer.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  lines.append(text.split(separator: " "))
}
let rate = arguments.count > 4 ? Double(arguments[4])! : 0
let node = try RealNode.visitor("load", level: .error)

/// A socket that receives in one task and sends in another.
@Sendable func drive(
  _ environment: Environment, _ session: String, _ recipient: Int64, _ isGroup: Bool, _ index: Int, _ count: Int,
  _ tally: Tally
) async throws {
  let client = SocketIOClient(
    environment, address: SocketAddress(host: "127.0.0.1", port: port), transport: .webSocket)
  try await client.connect(auth: ["sessionID": .string(session)])
  guard case .connected = try await client.receive() else {
    tally.failures += 1
    return
  }
  tally.connected += 1
  while tally.connected + tally.failures < count { try await environment.clock.sleep(for: .milliseconds(5)) }
  let begin = environment.clock.now
  let end = begin + .seconds(seconds)
  let pause: Duration = rate > 0 ? .nanoseconds(Int64(1e9 * Double(count) / rate)) : .zero
  @Sendable func send() async throws {
    let now = environment.clock.now.nanoseconds
    try await client.emit(
      "send_message",
      SocketPayload([
        [
          "sessionID": .string(session), "recipient_id": .int(recipient), "is_group": .bool(isGroup),
          "content": .string("\(index) \(now)"),
        ]
      ]), acknowledged: true)
  }
  environment.executor.spawn("pace") {
    do {
      if rate == 0 { return try await send() }
      var next = begin + pause * Double(index) / Double(count)
      while next < end {
        try await environment.clock.sleep(until: next)
        try await send()
        next = next + pause
      }
    } catch {
      tally.failures += 1
    }
  }
  environment.executor.spawn("end") {
    try? await environment.clock.sleep(until: end + .milliseconds(300))
    await client.abandon()
  }
  do {
    while true {
      switch try await client.receive() {
      case .acknowledged(_, _, let payload):
        guard payload.arguments.first?["status"] == "ok" else {
          tally.failures += 1
          continue
        }
        if environment.clock.now <= end { tally.stored += 1 }
        if rate == 0, environment.clock.now < end { try await send() }
      case .event(_, "new_message", let payload):
        let words = payload.arguments.first?["content"]?.string?.split(separator: " ") ?? []
        if words.count == 2, let sent = Int64(words[1]), words[0] != "\(index)" {
          tally.heard += 1
          tally.latencies.append(environment.clock.now.nanoseconds - sent)
        }
      default: continue
      }
    }
  } catch {
    return
  }
}

let wanted = lines
let tally = try node.run { environment in
  let tally = Tally()
  await withTaskGroup(of: Void.self) { group in
    for (index, line) in wanted.enumerated() {
      group.addTask {
        do {
          try await drive(
            environment, String(line[0]), Int64(line[1])!, line[2] == "1", index, wanted.count, tally)
        } catch {
          tally.failures += 1
        }
      }
    }
  }
  return tally
}
let sorted = tally.latencies.sorted()
func percentile(_ part: Double) -> Double {
  sorted.isEmpty ? 0 : Double(sorted[min(sorted.count - 1, Int(Double(sorted.count) * part))]) / 1e6
}
print("stored_per_second \(tally.stored / Int(seconds))")
print("heard_per_second \(tally.heard / Int(seconds))")
print("p50_milliseconds \(percentile(0.5))")
print("p99_milliseconds \(percentile(0.99))")
print("failures \(tally.failures)")
