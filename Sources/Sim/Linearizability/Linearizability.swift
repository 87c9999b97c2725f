/// A sequential model of a service.
public protocol SequentialModel {
  /// The state of the model.
  associatedtype State: Hashable
  /// A request and its answer.
  associatedtype Input

  /// The initial state.
  static var initial: State { get }
  /// Returns the state after `input`, or nil if the model could not have given that answer in
  /// `state`. An input without an answer has any effect that it could have had.
  static func step(_ state: State, _ input: Input) -> State?
}

/// An operation of a history: its interval in the order of invocations and answers, its request and
/// its answer.
public struct HistoryEntry<Input> {
  /// The position of its invocation.
  public let invoked: Int
  /// The position of its answer, or `Int.max` if there was none.
  public let answered: Int
  /// The request and its answer.
  public let input: Input
  /// The id of the operation, for reports.
  public let operation: Int

  /// Creates an operation. Without an answer (`Int.max`) it may take effect at any later time, or
  /// never.
  @inlinable public init(invoked: Int, answered: Int, input: Input, operation: Int) {
    self.invoked = invoked
    self.answered = answered
    self.input = input
    self.operation = operation
  }
}

/// The result of a check.
public enum LinearizabilityVerdict: Equatable, Sendable {
  /// An order exists that explains all answers.
  case linearizable
  /// No order exists. `operation` is the first that fits nowhere.
  case violated(operation: Int)
  /// There are too many orders to try.
  case undecided
}

/// Checks whether the operations have an order that respects real time and that the model could
/// have produced.
///
/// Wing and Gong, "Testing and verifying concurrent objects" (1993), with the cache of seen
/// configurations of Lowe, "Testing for linearizability" (2017). Histories are partitioned by key
/// before they come here (Herlihy and Wing 1990, locality). Operations without an answer are kept
/// apart from the others: they may stay out for ever, and would hold up the common prefix.
/// Inlinable, so that each module compiles it for its own models: generic code is many times
/// slower.
public enum Linearizability<Model: SequentialModel> {
  /// The number of configurations to try before giving up.
  @inlinable public static var bound: Int { 500_000 }

  @usableFromInline struct Configuration: Hashable {
    /// All answered operations before this index are placed.
    @usableFromInline var first = 0
    /// Placed operations after `first`.
    @usableFromInline var beyond: [Int] = []
    /// Placed operations without an answer.
    @usableFromInline var unanswered: [Int] = []
    @usableFromInline var state: Model.State

    @inlinable init(state: Model.State) { self.state = state }
  }

  /// Checks the history of one key.
  @inlinable public static func check(
    _ entries: [HistoryEntry<Model.Input>], bound: Int = bound
  ) -> LinearizabilityVerdict {
    let answered = entries.filter { $0.answered != .max }.sorted { $0.invoked < $1.invoked }
    let unanswered = entries.filter { $0.answered == .max }.sorted { $0.invoked < $1.invoked }
    var stack = [Configuration(state: Model.initial)]
    var seen: Set<Configuration> = []
    var furthest = 0
    while let configuration = stack.popLast() {
      if configuration.first == answered.count { return .linearizable }
      furthest = max(furthest, configuration.first)
      if seen.count > bound { return .undecided }
      // A configuration that was tried before leads nowhere new.
      guard seen.insert(configuration).inserted else { continue }
      expand(configuration, answered, unanswered, &stack)
    }
    return .violated(operation: answered[furthest].operation)
  }

  /// Pushes every configuration that follows. Those that place the earliest operation are popped
  /// first.
  @inlinable static func expand(
    _ configuration: Configuration, _ answered: [HistoryEntry<Model.Input>], _ unanswered: [HistoryEntry<Model.Input>],
    _ stack: inout [Configuration]
  ) {
    // An operation that began after an unplaced one was answered cannot precede it.
    var limit = Int.max
    var candidates: [Int] = []
    var index = configuration.first
    while index < answered.count, answered[index].invoked < limit {
      if !configuration.beyond.contains(index) {
        candidates.append(index)
        limit = min(limit, answered[index].answered)
      }
      index += 1
    }
    for (index, entry) in unanswered.enumerated().reversed()
    where entry.invoked < limit && !configuration.unanswered.contains(index) {
      guard let state = Model.step(configuration.state, entry.input), state != configuration.state else { continue }
      var next = configuration
      next.state = state
      next.unanswered.append(index)
      next.unanswered.sort()
      stack.append(next)
    }
    for index in candidates.reversed() where answered[index].invoked < limit {
      guard let state = Model.step(configuration.state, answered[index].input) else { continue }
      var next = configuration
      next.state = state
      next.beyond.append(index)
      while let place = next.beyond.firstIndex(of: next.first) {
        next.beyond.remove(at: place)
        next.first += 1
      }
      next.beyond.sort()
      stack.append(next)
    }
  }
}
