import System

/// The JSON form of a result, for child processes.
extension RunResult {
  /// The result as JSON.
  public var json: JSONValue {
    let counted = Counter.allCases.compactMap { counter in
      counts[counter].map { JSONValue.Member(counter.rawValue, .int(Int64($0))) }
    }
    return [
      "seed": .int(Int64(seed)), "hash": .string(String(hash, radix: 16)), "steps": .int(Int64(steps)),
      "simulated": .int(simulated.nanoseconds), "counts": .object(counted),
      "orderings": .array(orderings.flatMap { [.string($0.first), .string($0.then)] }),
      "draws": .object(draws.map { .init($0.stream, .int(Int64($0.count))) }),
      "acts": .array(
        acts.flatMap { [.int($0.at.nanoseconds), .string($0.who), .string($0.action), .string($0.to ?? "")] }),
      "struck": .array(struck.flatMap { [.int(Int64($0.fault)), .int($0.at.nanoseconds)] }),
      "strikes": .array(strikes.map { .int(Int64($0)) }),
      "violations": .array(
        violations.map { violation in
          [
            "oracle": .string(violation.oracle), "promise": .string(violation.promise),
            "events": .array(violation.events.map { .string($0) }),
          ]
        }),
    ]
  }

  /// Reads the JSON form of a result; nil for anything else.
  public init?(json: JSONValue) {
    guard let seed = json["seed"]?.int, let hash = json["hash"]?.string.flatMap({ UInt64($0, radix: 16) }),
      let steps = json["steps"]?.int, let simulated = json["simulated"]?.int, let counts = json["counts"]?.members,
      let strikes = json["strikes"]?.array, let orderings = json["orderings"]?.array?.compactMap(\.string),
      let draws = json["draws"]?.members, let acts = json["acts"]?.array, let struck = json["struck"]?.array,
      let violations = json["violations"]?.array
    else { return nil }
    self.seed = UInt64(seed)
    self.hash = hash
    self.steps = Int(steps)
    self.simulated = .nanoseconds(simulated)
    self.counts = Dictionary(
      uniqueKeysWithValues: counts.compactMap { member in
        Counter(rawValue: member.name).map { ($0, Int(member.value.int ?? 0)) }
      })
    self.strikes = strikes.compactMap { $0.int.map(Int.init) }
    self.orderings = stride(from: 0, to: orderings.count - 1, by: 2).map { .init(orderings[$0], orderings[$0 + 1]) }
    self.draws = draws.map { ($0.name, Int($0.value.int ?? 0)) }
    self.acts = stride(from: 0, to: acts.count - 3, by: 4).map {
      let to = acts[$0 + 3].string ?? ""
      return Act(
        at: .nanoseconds(acts[$0].int ?? 0), who: acts[$0 + 1].string ?? "", action: acts[$0 + 2].string ?? "",
        to: to.isEmpty ? nil : to)
    }
    self.struck = stride(from: 0, to: struck.count - 1, by: 2).map {
      (Int(struck[$0].int ?? 0), .nanoseconds(struck[$0 + 1].int ?? 0))
    }
    self.violations = violations.map { violation in
      Violation(
        oracle: violation["oracle"]?.string ?? "", promise: violation["promise"]?.string ?? "",
        events: violation["events"]?.array?.compactMap(\.string) ?? [])
    }
  }
}
