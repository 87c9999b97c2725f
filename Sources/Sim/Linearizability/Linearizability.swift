/// A small sequential machine that says what a service ought to answer.
public protocol SequentialModel {
  /// What it remembers.
  associatedtype State: Hashable
  /// What was asked, and answered.
  associatedtype Input

  /// The state before everything.
  static var initial: State { get }
  /// The state after `input`, or nil when in `state` it could not have been answered so. An input without an answer has
  /// any effect that it could have had.
  static func step(_ state: State, _ input: Input) -> State?
}

/// An operation on the model: an interval in the one order of beginnings and answers, and what was asked and answered.
public struct HistoryEntry<Input> {
  /// When it began, in the one order of beginnings and answers.
  public let invoked: Int
  /// When it was answered; `Int.max` if it was not.
  public let answered: Int
  /// The request and its answer.
  public let input: Input
  /// Its id, for the story.
  public let operation: Int

  /// An operation that began at `invoked`. `answered` is `Int.max` when no answer came: then it may take effect at any time after, or
  /// never. `operation` is its id, for the story.
  @inlinable public init(invoked: Int, answered: Int, input: Input, operation: Int) {
    self.invoked = invoked
    self.answered = answered
    self.input = input
    self.operation = operation
  }
}

/// What came of a check.
public enum LinearizabilityVerdict: Equatable, Sendable {
  /// Some order explains everything.
  case linearizable
  /// The operation that fits nowhere once all before it are placed as well as they can be.
  case violated(operation: Int)
  /// Too many orders to look at.
  case undecided
}

/// Whether some order of the operations, which respects their order in time, is one that the model could have produced.
///
/// Wing and Gong, "Testing and verifying concurrent objects" (1993), with the cache of seen configurations of Lowe, "Testing for
/// linearizability" (2017). Histories are partitioned by key before they come here (Herlihy and Wing 1990, locality). Operations
/// without an answer are kept apart from the others: they may stay out for ever, and would hold up the common prefix.
/// Inlinable, so that each module compiles it for its own models: generic code is many times slower.
public enum Linearizability<Model: SequentialModel> {
  /// Configurations to look at before giving up.
  @inlinable public static var bound: Int { 500_000 }

  @usableFromInline struct Configuration: Hashable {
    /// All answered operations before this one are placed.
    @usableFromInline var first = 0
    /// Placed ones after it.
    @usableFromInline var beyond: [Int] = []
    /// Placed ones of those without an answer.
    @usableFromInline var unanswered: [Int] = []
    @usableFromInline var state: Model.State

    @inlinable init(state: Model.State) { self.state = state }
  }

  /// Judges a history of one key.
  @inlinable public static func check(_ entries: [HistoryEntry<Model.Input>]) -> LinearizabilityVerdict {
    let answered = entries.filter { $0.answered != .max }.sorted { $0.invoked < $1.invoked }
    let unanswered = entries.filter { $0.answered == .max }.sorted { $0.invoked < $1.invoked }
    var stack = [Configuration(state: Model.initial)]
    var seen: Set<Configuration> = []
    var furthest = 0
    while let configuration = stack.popLast() {
      if configuration.first == answered.count { return .linearizable }
      furthest = max(furthest, configuration.first)
      if seen.count > bound { return .undecided }
      // What nobody else overlaps needs no cache.
      guard seen.insert(configuration).inserted else { continue }
      expand(configuration, answered, unanswered, &stack)
    }
    return .violated(operation: answered[furthest].operation)
  }

  /// Pushes every configuration that follows; those that place the earliest operation come out first.
  @inlinable static func expand(
    _ configuration: Configuration, _ answered: [HistoryEntry<Model.Input>], _ unanswered: [HistoryEntry<Model.Input>],
    _ stack: inout [Configuration]
  ) {
    // Whatever began after some unplaced operation was answered cannot come before it.
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
