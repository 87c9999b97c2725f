/// Everything that a node may use outside its own memory: time, network, storage, entropy,
/// executor, log.
///
/// A *node* is one service instance: the unit that listens, crashes, restarts and owns a disk. In
/// production each node has an event loop, sockets and files (`Sources/Runner/Real`); in the
/// simulator it is part of one seeded world (`Sources/Sim/World`). Code in `System` cannot tell the
/// difference.
public struct Environment: Sendable {
  /// The node's name, unique among the nodes that communicate. Every log line contains it.
  public let node: String
  /// The node's clocks.
  public let clock: any Clock
  /// The node's network interface.
  public let network: any Network
  /// The files in the node's data directory.
  public let storage: any Storage
  /// The node's source of random bytes.
  public let entropy: any Entropy
  /// The source of the ids of traces. In the simulator they have a stream of their own, so that a
  /// new id changes no other random bytes.
  public let identifiers: any Entropy
  /// The executor of the node's tasks and actors.
  public let executor: any NodeExecutor
  /// The node's log.
  public let log: Log
  /// The budgets for the memory that the node's clients use.
  public let memory: ClientMemory
  /// How much the node does at once.
  public let limits: WorkLimits

  /// Creates an environment from its parts. Without `identifiers` the ids of traces are from
  /// `entropy`.
  public init(
    node: String, clock: any Clock, network: any Network, storage: any Storage, entropy: any Entropy,
    executor: any NodeExecutor, log: Log, memory: ClientMemory = ClientMemory(), limits: WorkLimits = WorkLimits(),
    identifiers: (any Entropy)? = nil
  ) {
    self.node = node
    self.clock = clock
    self.network = network
    self.storage = storage
    self.entropy = entropy
    self.identifiers = identifiers ?? entropy
    self.executor = executor
    self.log = log
    self.memory = memory
    self.limits = limits
  }

  /// The environment with another network.
  public func with(network: any Network) -> Environment {
    Environment(
      node: node, clock: clock, network: network, storage: storage, entropy: entropy, executor: executor, log: log,
      memory: memory, limits: limits, identifiers: identifiers)
  }

  /// The environment with other work limits.
  public func with(limits: WorkLimits) -> Environment {
    Environment(
      node: node, clock: clock, network: network, storage: storage, entropy: entropy, executor: executor, log: log,
      memory: memory, limits: limits, identifiers: identifiers)
  }
}

/// Stops the process with `message` if `condition` is false, in debug and release builds.
///
/// Under `-O` the compiler drops the message of `precondition`, and `assert` entirely. Invariants
/// that protect acknowledged data have to be checked and reported in production, too. In the
/// simulator a broken invariant fails the run.
@inlinable
public func require(
  _ condition: Bool, _ message: @autoclosure () -> String, file: StaticString = #fileID, line: UInt = #line
) {
  if !condition { fatalError("invariant broken: \(message())", file: file, line: line) }
}
