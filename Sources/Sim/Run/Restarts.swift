import Simulation
import System

/// Restarts all services between the turns of users, when nothing is under way.
final class Restarts {
  /// The times in which a restart may explain that a service is not available, in nanoseconds.
  private(set) var times: [ClosedRange<Int64>] = []

  private static let downtime: Duration = .milliseconds(10)
  private let world: World
  private let services: [SimNode]

  init(_ scenario: Scenario, _ turns: Turns, in world: World, _ services: [SimNode]) {
    self.world = world
    self.services = services
    turns.isReady = { services.allSatisfy(\.isServing) }
    guard let (every, death) = scenario.restarts else { return }
    // A client that hears nothing of a loss of power misses its service by its heartbeats.
    let effect: Duration = death == .power ? scenario.service.vanishing : .zero
    turns.interlude = { [unowned self] turn in
      guard (turn + 1) % every == 0 else { return nil }
      restart(death, effect)
      return effect
    }
  }

  private func restart(_ death: SimNode.Death, _ effect: Duration) {
    let now = world.scheduler.now
    times.append(now...now + (effect + FaultDriver.aftermath).nanoseconds)
    // After the job of the user whose turn has ended.
    world.at(world.now + .microseconds(1)) { [services] in
      for node in services { node.crash(death) }
      for node in services { node.restart(after: Self.downtime) }
    }
  }
}
