import System

/// Scenarios as JSON: changes that shrinking makes, and the text of files.
extension JSONValue {
  /// The time in a member; nil without one.
  func time(_ name: String) -> Duration? { self[name]?.string.flatMap(DurationText.parse) }

  /// The scenario with a shorter run. Later faults and steps are removed, and longer faults end
  /// with the run.
  func shortened(to run: Duration) -> JSONValue {
    let faults = (self["faults"]?.array ?? []).compactMap { fault -> JSONValue? in
      if let begin = fault.time("at") ?? fault.time("from"), begin >= run { return nil }
      guard let end = fault.time("to"), end > run else { return fault }
      return fault.removing("to")
    }
    let script = (self["script"]?.array ?? []).filter { $0.time("at").map { $0 < run } ?? true }
    return setting("run", .string(DurationText.format(run))).settingList("faults", faults)
      .settingList("script", script)
  }

  /// The scenario with a shorter run, in which all times are scaled.
  func quickened(to run: Duration) -> JSONValue {
    guard let whole = time("run"), whole > .zero else { return self }
    let share = Double(run.nanoseconds) / Double(whole.nanoseconds)
    return retimed { .microseconds(Int64(Double($0.nanoseconds) * share / 1000)) }
      .setting("run", .string(DurationText.format(run)))
  }

  /// The scenario with all times of its script and its faults rounded down.
  func rounded(to unit: Duration) -> JSONValue {
    retimed { .nanoseconds(max($0.nanoseconds / unit.nanoseconds, 1) * unit.nanoseconds) }
  }

  private func retimed(_ change: (Duration) -> Duration) -> JSONValue {
    func changed(_ name: String) -> [JSONValue] {
      (self[name]?.array ?? []).map { entry in
        ["at", "from", "to"].reduce(entry) { entry, key in
          guard let time = entry.time(key) else { return entry }
          return entry.setting(key, .string(DurationText.format(change(time))))
        }
      }
    }
    return settingList("faults", changed("faults")).settingList("script", changed("script"))
  }

  /// The object with a member set. An existing member keeps its position.
  public func setting(_ name: String, _ value: JSONValue) -> JSONValue {
    var members = self.members ?? []
    if let index = members.firstIndex(where: { $0.name == name }) {
      members[index].value = value
    } else {
      members.append(.init(name, value))
    }
    return .object(members)
  }

  func removing(_ name: String) -> JSONValue { .object((members ?? []).filter { $0.name != name }) }

  /// The value as readable JSON5: names without quotes, short objects on one line.
  public func pretty(indent: String = "") -> String {
    func name(_ text: String) -> String {
      text.allSatisfy { $0.isASCII && $0.isLetter } ? text : JSONValue.string(text).text
    }
    switch self {
    case .object(let members):
      let flat = "{ " + members.map { "\(name($0.name)): \($0.value.pretty())" }.joined(separator: ", ") + " }"
      if members.isEmpty { return "{}" }
      if !indent.isEmpty || flat.count < 90, !flat.contains("\n"), flat.count + indent.count < 118 { return flat }
      let inner = members.map { "\(indent)  \(name($0.name)): \($0.value.pretty(indent: indent + "  "))" }
      return "{\n\(inner.joined(separator: ",\n")),\n\(indent)}"
    case .array(let elements):
      let flat = "[" + elements.map { $0.pretty() }.joined(separator: ", ") + "]"
      if elements.isEmpty || flat.count + indent.count < 100, !flat.contains("\n") { return flat }
      return "[\n" + elements.map { "\(indent)  \($0.pretty(indent: indent + "  "))" }.joined(separator: ",\n")
        + ",\n\(indent)]"
    default: return text
    }
  }
}
