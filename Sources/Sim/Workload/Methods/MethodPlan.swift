import Simulation
import System

/// A step of a client of the broker: its bytes, and the answers that it waits for.
struct MethodStep {
  enum Answer {
    case none
    /// The confirmation of the publication of this number on the first channel.
    case confirm(Int)
    /// Methods on a channel.
    case methods(Int, count: Int)
  }

  var belief: QueueBelief.Step
  let bytes: [UInt8]
  var answer = Answer.none

  init(_ input: QueueModel.Input, _ bytes: [UInt8], _ answer: Answer = .none) {
    belief = QueueBelief.Step(input: input)
    self.bytes = bytes
    self.answer = answer
  }
}

/// The arguments of the queues of a client, drawn from the table of queue arguments.
struct MethodQueues {
  /// The arguments that the model knows.
  static let modelled: Set<String> = [
    "x-queue-type", "x-dead-letter-exchange", "x-dead-letter-routing-key", "x-max-length", "x-max-length-bytes",
    "x-overflow", "x-max-priority", "x-single-active-consumer", "x-delivery-limit",
  ]
  /// The arguments that depend on time, and the one that says whether dead letters tell their time
  /// to live. `LimitsWorker` uses the first one.
  static let aboutTime: Set<String> = ["x-message-ttl", "x-expires", "x-queue-mode"]

  let names: [String]
  private(set) var rules: [QueueModel.Rules] = []
  /// The arguments of each queue, encoded.
  private(set) var arguments: [[UInt8]] = []

  /// Draws `count` queues. Each second one may get the dead letters of the one before it, and has
  /// no limits: what comes first where messages die in several queues at once is open.
  /// `mayRestart`: whether the broker may restart, and forget how often messages returned.
  init(of client: String, count: Int, _ stream: ChoiceStream, mayRestart: Bool) {
    names = (0..<count).map { "METHODS_\(client)_\($0)" }
    for index in 0..<count {
      let isQuorum = stream.chance(0.3)
      var drawn: [(name: String, value: [UInt8])] = []
      var rules = QueueModel.Rules()
      for row in QueueArgument.all where row.types == .both || row.types == (isQuorum ? .quorum : .classic) {
        guard row.effect != .refused, !Self.aboutTime.contains(row.name), row.name != Self.letterKey else { continue }
        if !Self.isLimited(index), row.effect == .served, row.name != "x-queue-type" { continue }
        // `basic.get` is refused where both are set.
        if row.name == "x-single-active-consumer", isQuorum { continue }
        if row.name == "x-delivery-limit", mayRestart { continue }
        if row.name == "x-queue-type" {
          drawn.append((row.name, AttackGrammar.value(isQuorum ? "quorum" : "classic")))
        } else if row.name == "x-dead-letter-exchange" {
          guard stream.chance(0.6) else { continue }
          rules.deadLetters = index + 1
          drawn += [(row.name, AttackGrammar.value("")), (Self.letterKey, AttackGrammar.value(names[index + 1]))]
        } else if stream.chance(row.effect == .none ? 0.1 : 0.4) {
          drawn.append((row.name, Self.value(of: row, stream, &rules)))
        }
      }
      self.rules.append(rules)
      arguments.append(drawn.flatMap { AttackGrammar.short($0.name) + $0.value })
    }
  }

  /// Whether a queue may have limits.
  static func isLimited(_ index: Int) -> Bool { index % 2 == 0 }

  private static let letterKey = "x-dead-letter-routing-key"

  /// Draws the value of an argument, and notes it in the rules.
  private static func value(
    of row: QueueArgument, _ stream: ChoiceStream, _ rules: inout QueueModel.Rules
  ) -> [UInt8] {
    switch row.kind {
    case .boolean: return [UInt8(ascii: "t"), stream.chance(0.5) ? 1 : 0]
    case .choice(let choices):
      let choice = stream.pick(choices)
      if row.name == "x-overflow" { rules.overflow = QueueModel.Overflow(rawValue: choice) ?? .dropHead }
      return AttackGrammar.value(choice)
    case .name, .any: return AttackGrammar.value(1)
    case .number(let range):
      var number = min(range.upperBound, range.lowerBound + Int64(stream.pick([0, 1, 2, 5, 20])))
      switch row.name {
      case "x-max-length": rules.maximumLength = Int(number)
      case "x-max-length-bytes":
        number *= 20
        rules.maximumBytes = Int(number)
      case "x-max-priority": rules.highestPriority = Int(number)
      case "x-delivery-limit": rules.deliveryLimit = Int(number)
      default: break
      }
      return AttackGrammar.value(number)
    }
  }

  /// The declaration of a queue.
  func declaration(_ index: Int, channel: Int) -> [UInt8] {
    BrokerWriter.method(
      channel, "queue.declare",
      ["queue": .text(names[index]), "durable": .bit(true), "arguments": .table(arguments[index])])
  }
}
