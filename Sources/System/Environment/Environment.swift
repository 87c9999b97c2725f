/// Everything a node may touch outside its own memory: time, network, storage, entropy, executor, log.
///
/// A *node* is one service instance: the unit that listens, crashes, restarts and owns a disk. Production gives each
/// node an event loop, sockets and files (`Sources/Runner/Real`); the simulator gives it a share of one seeded world
/// (`Sources/Sim/World`). Code in `System` cannot tell which one it has.
public struct Environment: Sendable {
  /// The node's name, unique among the nodes that talk to each other; it stands in every log line.
  public let node: String
  /// The node's clocks.
  public let clock: any Clock
  /// The node's network interface.
  public let network: any Network
  /// The node's disk, rooted at its own data directory.
  public let storage: any Storage
  /// The node's source of random bytes.
  public let entropy: any Entropy
  /// Where the node's tasks and actors run.
  public let executor: any NodeExecutor
  /// The node's log.
  public let log: Log
  /// What the node holds for its clients.
  public let memory: ClientMemory

  /// Makes an environment out of its parts.
  public init(
    node: String, clock: any Clock, network: any Network, storage: any Storage, entropy: any Entropy,
    executor: any NodeExecutor, log: Log, memory: ClientMemory = ClientMemory()
  ) {
    self.node = node
    self.clock = clock
    self.network = network
    self.storage = storage
    self.entropy = entropy
    self.executor = executor
    self.log = log
    self.memory = memory
  }
}

/// Stops the process when an invariant does not hold, in every build, with its message.
///
/// `precondition` drops its message under `-O` and `assert` drops itself; an invariant that guards acknowledged data
/// has to speak in production too. In the simulator a failed requirement is a finding.
@inlinable
public func require(
  _ condition: Bool, _ message: @autoclosure () -> String, file: StaticString = #fileID, line: UInt = #line
) {
  if !condition { fatalError("invariant broken: \(message())", file: file, line: line) }
}
