import Environment
import Simulation
import System

/// The state of a world at a step of a run, before the next job begins.
public struct Moment: Sendable {
  /// A node.
  struct Node {
    let name: String
    /// "serving", "running", "paused" or "down".
    let state: String
    /// The names of its tasks, and a line for each of their waits.
    let tasks: [String], waits: [String]
    /// What its service holds in memory; nil without one.
    let held: StateTree?
  }

  /// The number of jobs that have run.
  public let step: Int
  /// The virtual time in nanoseconds.
  public let at: Int64
  /// The jobs that may run next, by their places; empty at the end of the run.
  public let jobs: [RunnableJob]
  /// The place of the job that the run picks; nil at the end of the run.
  public let next: Int?
  let nodes: [Node]
  let connections: [ConnectionView]

  init(of world: World, next: Int?) {
    step = world.scheduler.steps
    at = world.scheduler.now
    jobs = next == nil ? [] : world.runnable
    self.next = next
    nodes = world.nodes.map(Node.init)
    connections = world.connections
  }
}

extension Moment.Node {
  init(_ node: SimNode) {
    name = node.name
    let isPaused = node.life?.isPaused == true
    state = !node.isUp ? "down" : isPaused ? "paused" : node.isServing ? "serving" : "running"
    tasks = node.life?.liveTasks ?? []
    waits = node.life?.waits ?? []
    held = node.service.map { StateTree(of: $0, named: node.name) }
  }

  var json: JSONValue {
    [
      "name": .string(name), "state": .string(state), "tasks": .array(tasks.map { .string($0) }),
      "waits": .array(waits.map { .string($0) }), "held": held?.json ?? .null,
    ]
  }
}

extension Moment {
  /// The moment as JSON, for the page.
  public var json: JSONValue {
    [
      "step": .int(Int64(step)), "at": .int(at / 1000),
      "jobs": .array(
        jobs.map {
          [
            "task": .string($0.task), "chain": .int(Int64($0.chain)), "actor": $0.actor.map { .string($0) } ?? .null,
            "wait": $0.wait.map { .string($0) } ?? .null,
          ]
        }),
      "next": next.map { .int(Int64($0)) } ?? .null, "nodes": .array(nodes.map(\.json)),
      "connections": .array(
        connections.map {
          [
            "id": .int(Int64($0.id)), "from": .string($0.from), "to": .string($0.to),
            "sent": Self.json($0.sent), "received": Self.json($0.received),
          ]
        }),
    ]
  }

  private static func json(_ direction: ConnectionView.Direction) -> JSONValue {
    [.int(Int64(direction.underWay)), .int(Int64(direction.unread)), .string(direction.ending)]
  }
}

extension ScenarioRunner {
  /// Runs the scenario up to a step, and passes on the moment there before the next job runs. A
  /// shorter run gives its end.
  ///
  /// The run is the same as without the look at it.
  public func look(seed: UInt64, after step: Int, _ see: @escaping (Moment) -> Void) {
    var options = RunOptions()
    options.isWatched = true
    let stage = self.stage(seed: seed, options)
    let world = stage.world
    var isSeen = false
    world.onPick(after: step) { [unowned world] place in
      isSeen = true
      see(Moment(of: world, next: place))
    }
    stage.play { isSeen }
    if !isSeen { see(Moment(of: world, next: nil)) }
    world.end()
  }
}
