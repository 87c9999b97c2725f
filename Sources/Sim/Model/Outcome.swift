/// The answer to a request, as far as the model of the contract goes.
enum Outcome<Value: Hashable & Sendable>: Hashable, Sendable {
  /// The request took effect, and the answer says this.
  case done(Value)
  /// The request was refused with this status, and had no effect.
  case refused(Int)
  /// No answer came, or one that does not say whether the request took effect.
  case unknown
}

/// The decision of the contract about a request: its effect and its answer, or the status of its
/// refusal.
enum Ruling<State, Value: Hashable & Sendable> {
  case allowed(State, Value)
  case refused(Int)

  /// The state after the request if its outcome is as ruled; nil if the outcome contradicts the
  /// ruling. A request without an answer may have been allowed, or never made.
  func state(after outcome: Outcome<Value>, from state: State) -> State? {
    switch (self, outcome) {
    case (.allowed(let next, let value), .done(let seen)): value == seen ? next : nil
    case (.allowed(let next, _), .unknown): next
    case (.refused(let status), .refused(let seen)): status == seen ? state : nil
    case (.refused, .unknown): state
    case (.allowed, .refused), (.refused, .done): nil
    }
  }
}

/// The parameters of a page of messages: `limit`, and `before` or `after` a `seq`.
struct PageRequest: Hashable, Sendable {
  var after: Int?
  var before: Int?
  var limit = 50

  /// The page of the messages that a reader may see, oldest first: the first ones after `after`, or
  /// else the last ones.
  func page(of visible: some BidirectionalCollection<Int>) -> [Int] {
    let inside = visible.drop { $0 <= after ?? 0 }.prefix { $0 < before ?? .max }
    return Array(after == nil ? inside.suffix(limit) : inside.prefix(limit))
  }
}
