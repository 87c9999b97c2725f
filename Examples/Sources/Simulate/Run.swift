import Environment
import Reservations
import Simulation

/// One simulated run: a server that suffers faults, three clients that want the same seats, and the
/// oracle.
final class Run {
  let world: World
  private let history = History()
  private static let seats = ["A1", "A2", "A3"]
  private static let address = SocketAddress(host: "server", port: 7000)

  /// What clients were told. Everything in a world happens on one thread, so it needs no lock.
  private final class History: @unchecked Sendable {
    var acknowledged: [(seat: String, name: String)] = []
    var holders: [String: String] = [:]
  }

  /// Runs the world of `seed` to its end. `sink` gets each event of the trace.
  init(seed: UInt64, mistakes: Set<Mistake>, sink: ((TraceEvent) -> Void)? = nil) {
    world = World(seed: seed, sink: sink)
    let server = world.addNode("server") { environment in
      try await ReservationService.start(environment, on: Self.address, mistakes: mistakes)
    }
    server.start()
    for name in ["ann", "bob", "eve"] { addClient(name) }
    addFaults(to: server)
    world.run(until: .seconds(10))

    // The faults are over. Each seat has the holder that is named now.
    world.healAll()
    server.mendDisk()
    server.start()
    world.run(until: .seconds(20))
    for seat in Self.seats {
      let answer = try? world.perform(as: "judge-\(seat)") {
        try await request("RESERVE \(seat) judge", $0, Self.address)
      }
      history.holders[seat] = answer == "OK" ? "nobody" : answer?.split(separator: " ").last.map(String.init)
    }
  }

  private func addClient(_ name: String) {
    let history = history
    let client = world.addNode(name) { environment in
      for seat in Self.seats {
        let answer = try? await request("RESERVE \(seat) \(name)", environment, Self.address)
        if answer == "OK" { history.acknowledged.append((seat, name)) }
        try await environment.clock.sleep(for: .milliseconds(200))
      }
      return nil
    }
    client.start()
  }

  /// Draws faults. A draw from the world's choices is a function of the seed, like everything else.
  private func addFaults(to server: SimNode) {
    let faults = world.choices.stream("faults")
    let soon = Duration.zero...(.milliseconds(900))
    world.link.latency = .microseconds(100)...(.milliseconds(50))
    server.clock.skew = faults.duration(.zero...(.seconds(3600)))
    world.at(faults.duration(soon)) {
      server.crash(faults.chance(0.5) ? .power : .kill)
      server.restart(after: .milliseconds(300))
    }
    if faults.chance(0.3) { server.diskFaults.failingSyncs = 0.1 }
    world.at(faults.duration(soon)) { [world] in
      let partition = world.partition(from: ["ann"], to: ["server"])
      world.at(world.now + .milliseconds(400)) { world.heal(partition) }
    }
  }

  /// The oracle. A seat is acknowledged to one client, which holds it in the end. Returns the
  /// broken promises.
  func judge() -> [String] {
    var broken = world.defects
    for seat in Self.seats {
      let names = history.acknowledged.filter { $0.seat == seat }.map(\.name)
      if names.count > 1 { broken.append("\(seat) was given to \(names.joined(separator: " and to "))") }
      let holder = history.holders[seat] ?? "no answer"
      if let name = names.first, names.count == 1, holder != name {
        broken.append("\(seat) was given to \(name), and its holder in the end: \(holder)")
      }
    }
    return broken
  }
}

/// Sends one line on a new connection and returns the line that comes back.
private func request(_ line: String, _ environment: Environment, _ address: SocketAddress) async throws -> String {
  let deadline = environment.clock.now + .seconds(5)
  let connection = try await environment.network.connect(to: address, deadline: deadline)
  defer { connection.close() }
  try await connection.write(Array("\(line)\n".utf8), deadline: deadline)
  var answer: [UInt8] = []
  while answer.last != UInt8(ascii: "\n") {
    let bytes = try await connection.read(atMost: 256, deadline: deadline)
    if bytes.isEmpty { throw NetworkError.closed }
    answer += bytes
  }
  return String(decoding: answer.dropLast(), as: UTF8.self)
}
