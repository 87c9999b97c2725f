/// A promise of the system, and the check that finds where a run has broken it.
///
/// An oracle judges from outside: it sees only what users saw. A new oracle is a function over a
/// part of the evidence and a line in the table of its part, such as `ChatOracles.all`.
struct Oracle: Sendable {
  /// When a promise is judged.
  enum Moment: CaseIterable {
    /// It is broken at a moment: nothing that comes later can mend it.
    case atOnce
    /// It is about the state when everything has come to rest. Users who rest for less than that
    /// takes look at the result too early.
    case atRest
    /// It is about the end of the run, however long users rest.
    case inTheEnd
  }

  /// The name, as a scenario's `fails` has it. Oracles over different parts may share one.
  let name: String
  /// The promise in one sentence, for breaches that have no sentence of their own.
  let promise: String
  let moment: Moment
  private let check: @Sendable (Evidence) -> [Breach]

  /// An oracle that checks one part of the evidence.
  init<Part>(
    _ name: String, _ promise: String, _ moment: Moment, over part: @escaping @Sendable (Evidence) -> Part,
    _ check: @escaping @Sendable (Part) -> [Breach]
  ) {
    self.name = name
    self.promise = promise
    self.moment = moment
    self.check = { check(part($0)) }
  }

  /// Every oracle, in the order in which they are asked.
  static let all =
    RunOracles.all + AccountOracles.all + ChatOracles.all + SessionOracles.all + QueueOracles.all + AttackOracles.all
    + ContractOracles.all
    + CallerOracles.all + [ShapeEvidence.oracle, ToldEvidence.oracle]

  /// The names of the oracles that judge at once.
  static let immediate = Set(all.filter { $0.moment == .atOnce }.map(\.name))

  /// The promises that the run has broken.
  func violations(in evidence: Evidence) -> [Violation] {
    check(evidence).map { Violation(oracle: name, promise: $0.promise ?? promise, events: $0.events) }
  }

  /// The moments at which the promises of a scenario's run are judged. A run that ends early has no
  /// end, and users who rest too briefly see no state at rest.
  static func moments(of scenario: Scenario) -> [Moment] {
    if scenario.end != nil { return [.atOnce] }
    return scenario.restsBriefly ? [.atOnce, .inTheEnd] : Moment.allCases
  }

  /// The promises that a run has broken, of those that hold at `moments`.
  static func judge(_ evidence: Evidence, at moments: [Moment] = Moment.allCases) -> [Violation] {
    all.filter { moments.contains($0.moment) }.flatMap { $0.violations(in: evidence) }
  }
}

/// One way in which a promise was broken.
struct Breach {
  /// The promise in particular; nil stands for that of the oracle.
  let promise: String?
  /// What happened instead, in order.
  let events: [String]

  init(_ promise: String, _ events: [String]) {
    self.promise = promise
    self.events = events
  }

  init(_ events: [String]) {
    promise = nil
    self.events = events
  }
}
