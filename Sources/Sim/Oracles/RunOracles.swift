/// The oracles over the run itself.
enum RunOracles {
  static let all = [
    noTrap, ends, sameEnd,
    Oracle("unwinds", "when a node dies, all its tasks end", .atOnce, over: \.run.defects) {
      $0.isEmpty ? [] : [Breach($0)]
    },
    Oracle(
      "known-sql", "the simulated PostgreSQL knows every statement that it is sent", .atOnce,
      over: \.run.unknownStatements
    ) { $0.isEmpty ? [] : [Breach($0)] },
    Oracle(
      "live", "after the faults every node runs and every user is served", .inTheEnd, over: \.run.stuck
    ) { $0.isEmpty ? [] : [Breach($0)] },
    Oracle(
      "at-rest", "when everybody has left, a service holds what an idle one holds", .inTheEnd, over: \.run.leftovers
    ) { $0.isEmpty ? [] : [Breach($0)] },
    Oracle(
      "sound", "the databases keep the promises of their tables, alone and together", .inTheEnd, over: \.run.unsound
    ) { $0.isEmpty ? [] : [Breach($0)] },
  ]

  /// A process that died cannot judge itself: `Violation.death` reports it from outside.
  static let noTrap = Oracle("no-trap", "the process does not die", .atOnce, over: \.run) { _ in [] }

  /// Two runs are compared when both have been judged: see `runTwice`.
  static let sameEnd = Oracle(
    "same-end", "the same script in another world comes to the same end for its clients", .inTheEnd,
    over: \.run.differences
  ) { $0 }

  /// A process that is in an endless loop cannot judge itself either: the search kills it.
  static let ends = Oracle("ends", "every run ends", .atOnce, over: \.run) { _ in [] }
}
