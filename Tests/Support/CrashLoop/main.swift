import Environment
import Simulation
import Foundation
import Sim
import System

// 1,000 crashes and restarts of the User Service, while a client is cut off by each: prints how many kB the process held after
// the first hundred and after the last. Fails when the first life is still there after a hundred. A process of its own, since the memory that it looks at is the whole process's.

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
      // It is refused and cut off again and again; that is what is looked at.
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
