import System

/// A scenario file while it is read: the position of each value, and the errors so far. Reading
/// goes on after an error, so that all errors of a file are reported together.
final class ScenarioDocument {
  let file: String
  fileprivate let positions: [String: TextPosition]
  private var errors: [(position: TextPosition?, error: ScenarioError)] = []

  init(_ file: String, _ positions: [String: TextPosition]) {
    self.file = file
    self.positions = positions
  }

  fileprivate func note(_ error: ScenarioError, at path: String) {
    guard !errors.contains(where: { $0.error.lines == error.lines }) else { return }
    errors.append((positions[path], error))
  }

  /// Throws the noted errors, if there are any.
  func throwErrors() throws(ScenarioError) {
    guard !errors.isEmpty else { return }
    let ordered = errors.enumerated().sorted { a, b in
      let (first, second) = (a.element.position, b.element.position)
      return (first?.line ?? 0, first?.column ?? 0, a.offset) < (second?.line ?? 0, second?.column ?? 0, b.offset)
    }
    throw ScenarioError(ordered.flatMap(\.element.error.lines))
  }
}

/// A value of a scenario file with its position, which errors name.
struct ScenarioValue {
  let value: JSONValue
  let path: String
  let document: ScenarioDocument

  static func parse(_ bytes: [UInt8], file: String) throws(ScenarioError) -> ScenarioValue {
    do throws(JSONError) {
      let (value, positions) = try JSONParser.parseNotingPositions(bytes, as: .json5)
      return ScenarioValue(value: value, path: "", document: ScenarioDocument(file, positions))
    } catch {
      throw ScenarioError(file, error.position, error.reason)
    }
  }

  // MARK: Errors

  func error(_ reason: String) -> ScenarioError { ScenarioError(document.file, document.positions[path], reason) }

  /// Notes an error at the value.
  func note(_ reason: String) { document.note(error(reason), at: path) }

  /// Notes an error at the name of a member.
  func note(key: String, _ reason: String) {
    let place = child(key) + "#"
    document.note(ScenarioError(document.file, document.positions[place], reason), at: place)
  }

  /// Reads a member. Returns nil if it is missing; notes an error and returns nil if it is invalid.
  func read<T>(_ key: String, _ parse: (ScenarioValue) throws -> T) -> T? {
    self[key].flatMap { $0.read(parse) }
  }

  /// Reads a member into a variable, which keeps its value if the member is missing or invalid.
  func read<T>(_ key: String, into place: inout T, _ parse: (ScenarioValue) throws -> T) {
    if let found = read(key, parse) { place = found }
  }

  /// Reads the value. Notes an error and returns nil if it is invalid.
  func read<T>(_ parse: (ScenarioValue) throws -> T) -> T? {
    do {
      return try parse(self)
    } catch {
      document.note(error as? ScenarioError ?? self.error("\(error)"), at: path)
      return nil
    }
  }

  // MARK: Members and elements

  private func child(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

  /// The member with a name, if there is one.
  subscript(key: String) -> ScenarioValue? {
    value[key].map { ScenarioValue(value: $0, path: child(key), document: document) }
  }

  /// Notes an error for each unknown key.
  func requireKeys(_ known: [String]) {
    guard let members = value.members else { return note("expected an object, found \(value.kind)") }
    for member in members where !known.contains(member.name) {
      note(key: member.name, "unknown key \"\(member.name)\"\(Spelling.hint(member.name, among: known))")
    }
  }

  /// The elements of a member that is an array; empty if it is missing or invalid.
  func list(_ key: String) -> [ScenarioValue] {
    read(key) { try $0.elements() } ?? []
  }

  func elements() throws(ScenarioError) -> [ScenarioValue] {
    guard let array = value.array else { throw error("expected an array, found \(value.kind)") }
    return array.enumerated().map { index, element in
      ScenarioValue(value: element, path: "\(path)[\(index)]", document: document)
    }
  }

  /// The members of a member that is an object; empty if it is missing or invalid.
  func table(_ key: String) -> [(name: String, value: ScenarioValue)] {
    read(key) { try $0.members() } ?? []
  }

  func members() throws(ScenarioError) -> [(name: String, value: ScenarioValue)] {
    guard let members = value.members else { throw error("expected an object, found \(value.kind)") }
    return members.map { ($0.name, ScenarioValue(value: $0.value, path: child($0.name), document: document)) }
  }

  // MARK: Values

  /// The text of a number; the kind of any other value.
  private var shown: String { value.number == nil ? value.kind : value.text }

  func string() throws(ScenarioError) -> String {
    guard let text = value.string else { throw error("expected a string, found \(value.kind)") }
    return text
  }

  func bool() throws(ScenarioError) -> Bool {
    guard let flag = value.bool else { throw error("expected true or false, found \(value.kind)") }
    return flag
  }

  func int(_ range: ClosedRange<Int64>) throws(ScenarioError) -> Int {
    guard let number = value.int, range.contains(number) else {
      throw error("expected an integer from \(range.lowerBound) to \(range.upperBound), found \(shown)")
    }
    return Int(number)
  }

  func chance() throws(ScenarioError) -> Double {
    guard let number = value.number, (0...1).contains(number) else {
      throw error("expected a number from 0 to 1, found \(shown)")
    }
    return number
  }

  func duration(_ range: ClosedRange<Duration>) throws(ScenarioError) -> Duration {
    let text = try string()
    guard let duration = DurationText.parse(text) else {
      throw error("\"\(text)\" is not a time; write for example 200ms, 1.5s, 10m")
    }
    return try checked(duration, range)
  }

  /// A time that may be negative: `-90s`.
  func signedDuration(_ range: ClosedRange<Duration>) throws(ScenarioError) -> Duration {
    let text = try string()
    let isNegative = text.hasPrefix("-")
    guard let duration = DurationText.parse(isNegative ? text.dropFirst() : text[...]) else {
      throw error("\"\(text)\" is not a time; write for example 90s, -1.5s")
    }
    return try checked(isNegative ? .zero - duration : duration, range)
  }

  /// A range of times, `200ms…2s`, or one time for both ends.
  func durations(_ range: ClosedRange<Duration>) throws(ScenarioError) -> ClosedRange<Duration> {
    let text = try string()
    let ends = text.split(separator: "…", omittingEmptySubsequences: false).map(DurationText.parse)
    guard (1...2).contains(ends.count), let low = ends[0], let high = ends[ends.count - 1], low <= high else {
      throw error("\"\(text)\" is not a time or a range of times; write for example 200ms…2s")
    }
    return try checked(low, range)...checked(high, range)
  }

  private func checked(_ duration: Duration, _ range: ClosedRange<Duration>) throws(ScenarioError) -> Duration {
    guard range.contains(duration) else {
      let (low, high) = (DurationText.format(range.lowerBound), DurationText.format(range.upperBound))
      throw error("expected a time from \(low) to \(high), found \(value.text)")
    }
    return duration
  }

  /// The draws `from` to `to`, excluding `to`, of a stream: `[from, to]`.
  func window() throws(ScenarioError) -> Range<Int> {
    let ends = try elements()
    guard ends.count == 2, case let (low, high) = (try ends[0].int(Bounds.draws), try ends[1].int(Bounds.draws)),
      low <= high
    else {
      throw error("a window is two numbers of draws, for example [120, 300]")
    }
    return low..<high
  }

  func oneOf<Choice: RawRepresentable & CaseIterable>(_ type: Choice.Type) throws(ScenarioError) -> Choice
  where Choice.RawValue == String {
    let text = try string()
    if let choice = Choice(rawValue: text) { return choice }
    let known = Choice.allCases.map(\.rawValue)
    let hint = Spelling.hint(text, among: known)
    throw error("\"\(text)\" is not one of \(known.joined(separator: ", "))\(hint)")
  }
}
