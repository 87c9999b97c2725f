import Environment
import Simulation
import Foundation
import Sim
import System

// Crashes and restarts the User Service 1,000 times, with a connected client each time. Prints the
// resident memory in kB after the first hundred and after the last. Fails if the first life of the
// service is still in memory after a hundred. Runs in its own process, whose memory it measures.

guard let world = try? crashAndRestart() else { exit(1) }
exit(world.defects.isEmpty ? 0 : 1)

func crashAndRestart() throws -> World {
  let world = World(seed: 1)
  let node = world.addNode("users") { environment in
    var options = UserServiceOptions()
    options.address = SocketAddress(host: "users", port: 8001)
    options.passwordRounds = 1
    return try await UserService.start(environment, options)
  }
  world.addNode("client") { environment in
    let client = HTTPClient(environment, address: SocketAddress(host: "users", port: 8001))
    while true {
      // The client is refused and disconnected repeatedly, as intended.
      _ = try? await client.send("POST", "/login", json: ["user": "a", "password": "password"], timeout: .seconds(1))
      try await environment.clock.sleep(for: .milliseconds(20))
    }
  }.start()
  weak var firstLife: Life?
  for cycle in 0..<1000 {
    node.start()
    world.run(until: world.now + .milliseconds(100))
    if cycle == 0 { firstLife = node.life }
    node.crash(cycle % 2 == 0 ? .kill : .power)
    world.run(until: world.now + .milliseconds(10))
    if cycle == 100, firstLife != nil { exit(1) }
    if cycle == 100 || cycle == 999 { print(residentKilobytes()) }
  }
  return world
}

func residentKilobytes() -> Int {
  let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
  let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS") } ?? ""
  return Int(line.split(separator: " ").dropLast().last ?? "") ?? 0
}
