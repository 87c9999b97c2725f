import System

/// What is wrong with a scenario file, and where.
public struct ScenarioError: Error, Sendable, CustomStringConvertible {
  /// `file:line:column: …`.
  public let description: String

  init(_ file: String, _ position: TextPosition?, _ reason: String) {
    description = "\(file):\(position.map { "\($0): " } ?? " ")\(reason)"
  }
}

/// A value of a scenario file, with the place where it stands, for errors that say where.
struct ScenarioValue {
  let value: JSONValue
  let path: String
  let file: String
  let positions: [String: TextPosition]

  static func parse(_ bytes: [UInt8], file: String) throws(ScenarioError) -> ScenarioValue {
    do throws(JSONError) {
      let (value, positions) = try JSONParser.parseNotingPositions(bytes, as: .json5)
      return ScenarioValue(value: value, path: "", file: file, positions: positions)
    } catch {
      throw ScenarioError(file, error.position, error.reason)
    }
  }

  func error(_ reason: String) -> ScenarioError { ScenarioError(file, positions[path], reason) }

  /// The value of a key, if it is there.
  subscript(key: String) -> ScenarioValue? {
    value[key].map {
      ScenarioValue(value: $0, path: path.isEmpty ? key : "\(path).\(key)", file: file, positions: positions)
    }
  }

  /// Refuses keys that mean nothing here.
  func requireKeys(_ known: [String]) throws(ScenarioError) {
    guard let members = value.members else { throw error("expected an object, found \(value.kind)") }
    for member in members where !known.contains(member.name) {
      let position = positions[(path.isEmpty ? member.name : "\(path).\(member.name)") + "#"]
      let hint = Spelling.hint(member.name, among: known)
      throw ScenarioError(file, position, "unknown key \"\(member.name)\"\(hint)")
    }
  }

  func elements() throws(ScenarioError) -> [ScenarioValue] {
    guard let array = value.array else { throw error("expected an array, found \(value.kind)") }
    return array.enumerated().map { index, element in
      ScenarioValue(value: element, path: "\(path)[\(index)]", file: file, positions: positions)
    }
  }

  func members() throws(ScenarioError) -> [(name: String, value: ScenarioValue)] {
    guard let members = value.members else { throw error("expected an object, found \(value.kind)") }
    return members.map { ($0.name, self[$0.name]!) }
  }

  func string() throws(ScenarioError) -> String {
    guard let text = value.string else { throw error("expected a string, found \(value.kind)") }
    return text
  }

  func bool() throws(ScenarioError) -> Bool {
    guard let flag = value.bool else { throw error("expected true or false, found \(value.kind)") }
    return flag
  }

  func int(atLeast minimum: Int = 0) throws(ScenarioError) -> Int {
    guard let number = value.int else { throw error("expected an integer, found \(value.kind)") }
    guard number >= minimum, number <= 1_000_000_000 else {
      throw error("expected an integer from \(minimum) on, found \(number)")
    }
    return Int(number)
  }

  func chance() throws(ScenarioError) -> Double {
    guard let number = value.number, (0...1).contains(number) else { throw error("expected a number from 0 to 1") }
    return number
  }

  func duration() throws(ScenarioError) -> Duration {
    let text = try string()
    guard let duration = DurationText.parse(text) else {
      throw error("\"\(text)\" is not a time; write for example 200ms, 1.5s, 10m")
    }
    return duration
  }

  /// A time that may lie in the past: `-90s`.
  func signedDuration() throws(ScenarioError) -> Duration {
    let text = try string()
    guard text.hasPrefix("-") else { return try duration() }
    guard let duration = DurationText.parse(text.dropFirst()) else { throw error("\"\(text)\" is not a time") }
    return .zero - duration
  }

  /// `200ms…2s`, or one time for both ends.
  func durations() throws(ScenarioError) -> ClosedRange<Duration> {
    let text = try string()
    let ends = text.split(separator: "…", omittingEmptySubsequences: false).map(DurationText.parse)
    guard (1...2).contains(ends.count), let low = ends[0], let high = ends[ends.count - 1], low <= high else {
      throw error("\"\(text)\" is not a time or a range of times; write for example 200ms…2s")
    }
    return low...high
  }

  /// `[from, to]`: draws of a stream, the last not among them.
  func window() throws(ScenarioError) -> Range<Int> {
    let ends = try elements()
    guard ends.count == 2, case let (low, high) = (try ends[0].int(), try ends[1].int()), low <= high else {
      throw error("a window is two numbers of draws, for example [120, 300]")
    }
    return low..<high
  }

  /// `"crash chat, messages-stored"`: one event, and another soon after it.
  func ordering() throws(ScenarioError) -> Orderings.Pair {
    let parts = try string().split(separator: ", ")
    guard parts.count == 2 else {
      throw error("an ordering is two events, for example \"crash chat, messages-stored\"")
    }
    return Orderings.Pair(String(parts[0]), String(parts[1]))
  }

  func oneOf<Choice: RawRepresentable & CaseIterable>(_ type: Choice.Type) throws(ScenarioError) -> Choice
  where Choice.RawValue == String {
    let text = try string()
    if let choice = Choice(rawValue: text) { return choice }
    let known = Choice.allCases.map(\.rawValue)
    let hint = Spelling.hint(text, among: known)
    throw error("\"\(text)\" is none of \(known.joined(separator: ", "))\(hint)")
  }
}
