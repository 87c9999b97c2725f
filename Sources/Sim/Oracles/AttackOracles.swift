/// Bytes that a service holds for clients.
struct HeldMemory {
  /// The service's node.
  let node: String
  /// Bytes for those who have not logged in.
  let strangers: Int
}

/// What holds where somebody attacks. That nobody else suffers is what all other oracles judge.
enum AttackOracles {
  /// What may stay when nobody is connected any more but the services: names in a throttle, answers under way.
  private static let atRest = 64 << 10

  static func judge(_ attackers: [Attacker], _ held: [HeldMemory]) -> [Violation] {
    let blunders = attackers.flatMap(\.blunders)
    let kept = held.filter { $0.strangers > atRest }
    return
      (blunders.isEmpty
      ? []
      : [
        Violation(oracle: "no-blunder", promise: "no service answers 500 to what a client sends", events: blunders)
      ])
      + (kept.isEmpty
        ? []
        : [
          Violation(
            oracle: "bounded-memory", promise: "what was held for a client is let go of when it has gone",
            events: kept.map { "\($0.node) still holds \($0.strangers) bytes for clients that never logged in" })
        ])
  }
}
