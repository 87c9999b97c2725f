@testable import Environment
@testable import Simulation
import Foundation
import System
import Testing

@testable import Sim

@Suite("A crash")
struct CrashTests {
  @Test("every pending and later operation throws, without effect, and nothing of the node runs on")
  func operationsThrow() throws {
    final class Log: @unchecked Sendable { var lines: [String] = [] }
    let log = Log()
    let world = World(seed: 1)
    let node = world.addNode("a") { environment in
      environment.executor.spawn("sleeper") {
        do { try await environment.clock.sleep(for: .seconds(100)) } catch { log.lines.append("sleep \(error)") }
        do { _ = try environment.storage.open("x", create: true) } catch { log.lines.append("open \(error)") }
        do { _ = try environment.network.listen(SocketAddress(host: "a", port: 1), backlog: 1) } catch {
          log.lines.append("listen")
        }
        do { try await environment.executor.offload(.disk) { log.lines.append("ran") } } catch {
          log.lines.append("offload \(error)")
        }
        environment.executor.spawn("late") {
          do { try await environment.clock.sleep(for: .seconds(1)) } catch { log.lines.append("late") }
        }
      }
      environment.executor.spawn("acceptor") {
        do { _ = try await environment.network.listen(SocketAddress(host: "a", port: 2), backlog: 1).accept() } catch {
          log.lines.append("accept \(error)")
        }
      }
      return nil
    }
    node.start()
    world.run(until: .seconds(1))
    node.crash(.power)
    world.run(until: .seconds(1))
    #expect(
      log.lines.sorted() == [
        "accept NodeDown()", "late", "listen", "offload NodeDown()", "open nodeDown", "sleep NodeDown()",
      ])
    #expect(world.defects.isEmpty)
  }

  @Test("of a world that has ended nothing stays in memory, whatever was to come", arguments: StrategyName.allCases)
  func worldsEnd(strategy: StrategyName) throws {
    final class Ends {
      weak var scheduler: Scheduler?
      weak var fabric: Fabric?
    }
    let ends = Ends()
    do {
      let world = World(seed: 1, strategy: { strategy.make($0, profile: nil) })
      (ends.scheduler, ends.fabric) = (world.scheduler, world.fabric)
      // A connection whose other end has lost its power.
      let server = world.addNode("b") { environment in
        let listener = try environment.network.listen(SocketAddress(host: "b", port: 1), backlog: 1)
        while true { _ = try await listener.accept() }
      }
      server.start()
      world.addNode("a") { environment in
        let peer = SocketAddress(host: "b", port: 1)
        _ = try await environment.network.connect(to: peer, deadline: environment.clock.now + .seconds(1))
        while true { try await environment.clock.sleep(for: .seconds(60)) }
      }.start()
      world.run(until: .milliseconds(500))
      server.crash(.power)
      // What a fault driver does: at a time that never comes.
      world.at(.seconds(3600)) { [world] in _ = world.now }
      world.run(until: .seconds(1))
      world.end()
    }
    #expect(ends.scheduler == nil && ends.fabric == nil)
  }

  @Test("of a service that has crashed or stopped in order nothing stays in memory", arguments: [false, true])
  func nothingStays(inOrder: Bool) throws {
    final class Lives {
      weak var life: Life?
      init(_ life: Life?) { self.life = life }
    }
    let file = #"{ name: "all", topology: { supervisorHosts: 1 }, people: [{ name: "ann" }], run: "1s" }"#
    let scenario = try Scenario(parsing: Array(file.utf8), file: "all.json5")
    let runner = ScenarioRunner(scenario)
    let world = World(seed: 1)
    let nodes = scenario.serviceNodes.map { world.addNode($0, program: runner.program(of: $0)) }
    #expect(nodes.count == 6)
    for node in nodes { node.start() }
    world.run(until: .seconds(5))
    for node in nodes {
      #expect(node.isServing)
      let first = Lives(node.life)
      if inOrder {
        node.drain(restartAfter: .milliseconds(10))
      } else {
        node.crash(.kill)
        node.restart(after: .milliseconds(10))
      }
      world.run(until: world.now + .seconds(20))
      #expect(first.life == nil, "\(node.name)")
    }
    world.end()
    #expect(world.defects.isEmpty)
  }

  @Test("a paused node does nothing, keeps its connections, and runs on when it wakes")
  func pause() throws {
    final class Ticks: @unchecked Sendable { var count = 0 }
    let ticks = Ticks()
    let world = World(seed: 1)
    let node = world.addNode("a") { environment in
      while true {
        try await environment.clock.sleep(for: .milliseconds(100))
        ticks.count += 1
      }
    }
    node.start()
    world.run(until: .seconds(1))
    node.pause()
    let before = ticks.count
    world.run(until: .seconds(5))
    #expect(ticks.count == before)
    node.resume()
    world.run(until: .seconds(6))
    #expect(ticks.count > before)
  }

  @Test("a run that is stuck lists its waiting tasks")
  func stuck() {
    let world = World(seed: 1)
    let error = #expect(throws: World.Unfinished.self) {
      try world.perform(as: "lonely", within: .seconds(10)) { environment in
        let listener = try environment.network.listen(SocketAddress(host: "lonely", port: 7), backlog: 1)
        _ = try await listener.accept()
      }
    }
    #expect(error?.waits.contains("accept on lonely:7") == true)
  }
}
