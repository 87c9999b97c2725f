import Sim
import System
import Testing

@Test func smoke() async throws {
  for seed in [1, 1, 2] as [UInt64] {
    let world = World(seed: seed, sink: seed == 9 ? { print($0) } : nil)
    world.addNode("users") { env in
      var o = UserServiceOptions()
      o.passwordRounds = 1
      o.address = SocketAddress(host: "users", port: 8001)
      return try await UserService.start(env, o)
    }.start()
    nonisolated(unsafe) var out: [String] = []
    for i in 0..<100 {
      world.addNode("ann\(i)") { env in
        let client = HTTPClient(env, address: SocketAddress(host: "users", port: 8001))
        try await env.clock.sleep(for: .milliseconds(100))
        let r = try await client.send("POST", "/register", json: ["email": .string("ann\(i)@example.com"), "username": .string("ann\(i)"), "password": "password123"], timeout: .seconds(5))
        out.append("\(r.status) " + String(decoding: r.body, as: UTF8.self))
        for _ in 0..<100 {
          let l = try await client.send("POST", "/login", json: ["user": .string("ann\(i)"), "password": "password123"], timeout: .seconds(5))
          if l.status != 200 { out.append("\(l.status) " + String(decoding: l.body, as: UTF8.self)) }
        }
        return nil
      }.start()
    }
    let clock = ContinuousClock()
    let t = clock.measure { world.run(until: .seconds(60)) }
    print(seed, String(world.hash.value, radix: 16), world.scheduler.steps, t, out.first ?? "none", out.count, world.now, world.defects)
    if out.isEmpty { print(world.waits) }
    world.end()
  }
}
