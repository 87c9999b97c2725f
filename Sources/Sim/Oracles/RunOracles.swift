/// The oracles over the run itself.
enum RunOracles {
  static let all = [
    noTrap,
    Oracle("unwinds", "the tasks of a dead node end", .atOnce, over: \.run.defects) { $0.isEmpty ? [] : [Breach($0)] },
    Oracle(
      "live", "when the faults are over, every node comes up and every user is served", .inTheEnd, over: \.run.stuck
    ) { $0.isEmpty ? [] : [Breach($0)] },
  ]

  /// A process that died cannot judge itself: `Violation.death` reports it from outside.
  static let noTrap = Oracle("no-trap", "no run kills its process", .atOnce, over: \.run) { _ in [] }
}
