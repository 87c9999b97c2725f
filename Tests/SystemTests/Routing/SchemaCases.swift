@testable import System

/// A value, and whether a schema allows it.
struct SchemaCase {
  let value: JSONValue
  let isAllowed: Bool

  init(_ value: JSONValue, _ isAllowed: Bool) {
    self.value = value
    self.isAllowed = isAllowed
  }
}

extension Schema {
  /// One value of each kind that JSON has.
  private static let kinds: [JSONValue] = [
    .null, .bool(true), .int(1), .double(0.5), .string("x"), .array([]), .object([]),
  ]

  /// Values at each bound of the schema and one beyond it, and a value of every other kind.
  var cases: [SchemaCase] {
    switch self {
    case .any: return (Self.kinds + [Self.nested(60)]).map { SchemaCase($0, true) }
    case .boolean:
      return others { if case .bool = $0 { true } else { false } } + [.init(false, true), .init(true, true)]
    case .integer(let minimum, let maximum):
      return others { if case .int = $0 { true } else { false } } + Self.bounds(minimum, maximum)
    case .string(let rule): return others { if case .string = $0 { true } else { false } } + rule.cases
    case .array(let element, _):
      return others { if case .array = $0 { true } else { false } } + [.init([], true)]
        + element.cases.map { .init([$0.value], $0.isAllowed) }
    case .either(let shapes, _):
      // A value that one shape refuses may fit another.
      return shapes.flatMap(\.cases).map { .init($0.value, fault(in: $0.value) == nil) }
    case .object(let fields):
      return others { if case .object = $0 { true } else { false } } + Self.cases(fields)
    }
  }

  /// Whether every string and list within has a bound. Integers always have two.
  var isBounded: Bool {
    switch self {
    case .any, .boolean, .integer: true
    case .string(let rule): rule.maximumBytes != nil || rule.maximumLength != nil || rule.values != nil
    case .array(let element, let maximum): maximum != nil && element.isBounded
    case .either(let shapes, _): shapes.allSatisfy(\.isBounded)
    case .object(let fields): fields.allSatisfy(\.schema.isBounded)
    }
  }

  /// A value that the schema allows, with every field.
  var full: JSONValue {
    guard case .object(let fields) = self else { return example }
    return .object(fields.map { .init($0.name, $0.schema.full) })
  }

  private func others(_ isOfThisKind: (JSONValue) -> Bool) -> [SchemaCase] {
    Self.kinds.filter { !isOfThisKind($0) }.map { SchemaCase($0, false) }
  }

  private static func bounds(_ minimum: Int64, _ maximum: Int64) -> [SchemaCase] {
    var found = [SchemaCase(.int(minimum), true), SchemaCase(.int(maximum), true)]
    if minimum > .min { found += [.init(.int(minimum - 1), false), .init(.int(.min), false)] }
    if maximum < .max { found += [.init(.int(maximum + 1), false), .init(.int(.max), false)] }
    return found
  }

  /// The object with all its fields; then, for each field, without it and with each of its cases.
  private static func cases(_ fields: [Field]) -> [SchemaCase] {
    guard case .object(let whole) = Schema.object(fields).full else { return [] }
    var found = [SchemaCase(.object(whole), true)]
    for (index, field) in fields.enumerated() {
      var left = whole
      left.remove(at: index)
      found.append(.init(.object(left), !field.isRequired))
      for one in field.schema.cases {
        var changed = whole
        changed[index] = .init(field.name, one.value)
        found.append(.init(.object(changed), one.isAllowed))
      }
    }
    return found
  }

  private static func nested(_ depth: Int) -> JSONValue { (0..<depth).reduce(1) { value, _ in [value] } }
}

extension Schema.StringRule {
  fileprivate var cases: [SchemaCase] {
    if let values {
      return values.map { .init(.string($0), true) }
        + ["", values[0] + "\u{301}", values[0].lowercased() + " "].map { .init(.string($0), false) }
    }
    // Emails are the only texts with a pattern that these values do not match.
    let end = pattern == "@" ? "@" : ""
    func text(_ letter: String, _ count: Int) -> JSONValue {
      .string(String(repeating: letter, count: max(0, count - end.utf8.count / letter.utf8.count)) + end)
    }
    var found: [SchemaCase] = end.isEmpty ? [] : [.init(.string("xxx"), false), .init(.string("xx＠x"), false)]
    if let minimumLength {
      found.append(.init(text("x", minimumLength), true))
      if minimumLength > 0 { found.append(.init(text("x", minimumLength - 1), false)) }
    }
    if let maximumLength {
      found += [.init(text("x", maximumLength), true), .init(text("x", maximumLength + 1), false)]
    }
    if let maximumBytes {
      found += [.init(text("x", maximumBytes), true), .init(text("x", maximumBytes + 1), false)]
      // Letters of two bytes; then one character of many scalars.
      found += [.init(text("é", maximumBytes / 2), true), .init(text("é", maximumBytes / 2 + 1), false)]
      found.append(.init(.string("a" + String(repeating: "\u{301}", count: maximumBytes)), false))
    }
    return found
  }
}
