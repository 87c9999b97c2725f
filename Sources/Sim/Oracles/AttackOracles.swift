/// The oracles of a run with attackers. All other oracles judge whether others suffer from them.
enum AttackOracles {
  static let all = [
    Oracle("no-blunder", "no client can cause an answer of 500", .inTheEnd, over: \.attack.blunders) {
      $0.isEmpty ? [] : [Breach($0)]
    },
    Oracle(
      "bounded-memory", "memory held for a client is freed when the client is gone", .inTheEnd, over: \.attack.held
    ) {
      let held = $0.filter { $0.bytes > atRest }
      let events = held.map { "\($0.node) still holds \($0.bytes) bytes for clients that never logged in" }
      return events.isEmpty ? [] : [Breach(events)]
    },
  ]

  /// Bytes that a service may hold when only services are connected: entries of a throttle, answers
  /// that are under way.
  private static let atRest = 64 << 10
}
