import System

/// The scripts of drawn scenarios: users act while a fault keeps the services apart.
extension ScenarioDraw {
  /// One or two users leave for good. There are always at least two users.
  func departures(within seconds: Int) -> JSONValue {
    .array(
      (1...1 + stream.choose(2)).map { number in
        ["at": .string("\(1 + stream.choose(seconds - 1))s"), "who": .string("ann-\(number)"), "does": "depart"]
      })
  }

  /// Two users act in a way that one service has to tell another, while a partition separates the
  /// services for longer than a lease. A supervisor that is not heard goes on beside its successor.
  func unheard(
    _ action: String, by other: String, from node: String
  ) -> (script: JSONValue, fault: JSONValue, end: Int) {
    let begin = 2 + stream.choose(4)
    let end = begin + 9 + stream.choose(5)
    let steps = (1...2).map { number -> JSONValue in
      ["at": .string("\(begin + 1 + stream.choose(3))s"), "who": .string("ann-\(number)"), "does": .string(action)]
    }
    let partition: JSONValue = [
      "from": .string("\(begin)s"), "to": .string("\(end)s"), "partition": [[.string(node)], [.string(other)]],
      "oneWay": .bool(node != "chat" || stream.chance(0.2)),
    ]
    return (.array(steps), partition, end + 2)
  }

  /// A host is paused for longer than its lease and resumes when its sessions are its successor's,
  /// while users leave and return.
  func standstill() -> (script: JSONValue, fault: JSONValue, end: Int) {
    let begin = 2 + stream.choose(3)
    let steps = (1...Self.crowd).flatMap { number in
      (0..<10).map { _ in (at: (begin * 10 + 55 + stream.choose(35)) * 100, who: "ann-\(number)") }
    }
    let script = steps.sorted { ($0.at, $0.who) < ($1.at, $1.who) }.map { step -> JSONValue in
      ["at": .string("\(step.at)ms"), "who": .string(step.who), "does": "disconnect"]
    }
    return (
      .array(script), ["at": .string("\(begin)s"), "pause": "supervisor-1", "for": "7s…9s"], begin + 12
    )
  }
}
