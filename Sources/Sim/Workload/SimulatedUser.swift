import Environment
import Simulation
import System

/// A user of the system in a run: an account, a customer, a worker, an attacker.
///
/// Each is a node of its own in a simulated world. A run waits until every user has been served.
protocol SimulatedUser: AnyObject {
  var state: UserState { get }
  /// What the user saw last, for a report of a run that does not end.
  var lastSeen: String { get }
  /// Acts until the run is over, and looks at the result.
  /// - Throws: `NodeDown` when the user's own node dies, `CancellationError`.
  func live(_ environment: Environment) async throws
}

extension SimulatedUser {
  var name: String { state.name }
  var lastSeen: String { state.lastSeen }
  var isServed: Bool { state.isServed }
  var isThrottled: Bool { state.isThrottled }
}

/// The state that every simulated user has.
final class UserState {
  let name: String
  /// The behavior of the user's group.
  let behavior: UserGroup
  /// Decides what the user does. In turns, each turn has a stream of its own.
  private(set) var stream: ChoiceStream
  /// Decides what depends on the world: pauses, nodes, transports. Without turns it is `stream`.
  let circumstances: ChoiceStream
  /// The turns that users take; nil if each acts in its own time.
  let turns: Turns?
  /// Whether the user has nothing to do with the others.
  var isBystander: Bool { behavior.name == Scenario.bystander }
  let tally: Tally
  /// Where the requests of all users are recorded.
  let log: CallLog
  /// Whether the user has acted, and has seen the result after the faults.
  var isServed = false
  /// Whether a throttle delays the user in the end. That keeps a promise of the service too.
  var isThrottled = false
  var lastSeen = "nothing yet"

  init(_ name: String, behavior: UserGroup, stream: ChoiceStream, _ histories: Histories, turns: Turns? = nil) {
    self.name = name
    self.behavior = behavior
    self.stream = stream
    circumstances = stream
    self.turns = turns
    tally = histories.tally
    log = histories.log
  }

  /// The address of a node of the User Service, as a load balancer would pick one.
  var usersAddress: SocketAddress {
    SocketAddress(host: picked(from: behavior.usersNodes), port: Scenario.usersAddress.port)
  }

  /// The address of a node of the Chat Service, as a load balancer would pick one.
  var chatAddress: SocketAddress {
    SocketAddress(host: picked(from: behavior.chatNodes), port: Scenario.chatAddress.port)
  }

  /// One of the nodes. The only one is no choice.
  private func picked(from nodes: [String]) -> String { nodes.count == 1 ? nodes[0] : circumstances.pick(nodes) }

  /// Sleeps for a random time with the given mean.
  func pause(mean: Duration, _ environment: Environment) async throws {
    try await environment.clock.sleep(for: circumstances.exponential(mean: mean))
  }

  /// Acts in the user's turn of a phase, or at once if users do not act in turns.
  func inTurn(_ phase: Turns.Phase, _ environment: Environment, _ act: () async throws -> Void) async throws {
    guard let turns else { return try await act() }
    guard let turn = try await turns.wait(for: phase, name, environment) else { return }
    begin(turn)
    try await act()
    try await turns.end(environment)
  }

  /// Decides by the stream of a turn from now on.
  func begin(_ turn: Turns.Turn) { if let turns { stream = turns.stream(turn) } }
}
