import Simulation
import Sim
import System

/// A flag of a command.
struct Flag {
  let name: String
  /// The placeholder of its value in help; nil for a flag without a value.
  let placeholder: String?
  let help: String
  var isRepeatable = false
}

/// A parsed command line.
struct Arguments {
  private(set) var values: [String: [String]] = [:]
  private(set) var words: [String] = []

  init(_ arguments: [String], flags: [Flag]) throws(UsageError) {
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      guard argument.hasPrefix("--"), argument.count > 2 else {
        words.append(argument)
        continue
      }
      let parts = argument.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = String(parts[0])
      guard let flag = flags.first(where: { $0.name == name }) else {
        let hint = Spelling.hint(name, among: flags.map(\.name), shown: { "--\($0)" })
        throw UsageError("unknown flag --\(name)\(hint)")
      }
      if flag.placeholder == nil {
        guard parts.count == 1 else { throw UsageError("--\(name) takes no value") }
        values[name] = ["true"]
        continue
      }
      guard let value = parts.count > 1 ? String(parts[1]) : rest.popFirst() else {
        throw UsageError("--\(name) needs a value: --\(name) \(flag.placeholder!)")
      }
      guard flag.isRepeatable || values[name] == nil else { throw UsageError("--\(name) is given twice") }
      values[name, default: []].append(value)
    }
  }

  func has(_ name: String) -> Bool { values[name] != nil }
  func value(_ name: String) -> String? { values[name]?.last }

  /// The integer value of a flag.
  func int(_ name: String, in range: ClosedRange<Int>) throws(UsageError) -> Int? {
    guard let text = value(name) else { return nil }
    guard let number = Int(text), range.contains(number) else {
      throw UsageError("--\(name): \"\(text)\" is not a number from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  /// The value of `--seed`.
  func seed() throws(UsageError) -> UInt64? { try int("seed", in: 0...Int.max).map { UInt64($0) } }

  /// The duration of a flag.
  func time(_ name: String) throws(UsageError) -> Duration? {
    guard let text = value(name) else { return nil }
    guard let time = DurationText.parse(text), time > .zero else {
      throw UsageError("--\(name): \"\(text)\" is not a time; write for example 30s, 10m")
    }
    return time
  }

  /// The value of `--strategy`.
  func strategy() throws(UsageError) -> StrategyName? {
    guard let name = value("strategy") else { return nil }
    guard let strategy = StrategyName(rawValue: name) else {
      throw UsageError(
        "--strategy: \"\(name)\" is not one of \(StrategyName.list)")
    }
    return strategy
  }
}
