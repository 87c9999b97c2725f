import Simulation
import System

/// Draws arguments from schemas: mostly valid ones. A name or a number is mostly one that exists,
/// sometimes one that existed or never did. Now and then one field is at its limit or beyond it,
/// missing, of another type, or one too many.
final class CallGrammar {
  /// Values for some kinds that fit a connection, such as its own session.
  typealias Bound = [(kind: String, value: JSONValue)]

  private let stream: ChoiceStream
  private let known: KnownValues
  /// The prefix of everything that the caller names.
  private let name: String
  private var names = 0

  /// The password of every account of a caller. No other user has it.
  static let password = "battery staple"
  private static let spoiling = 0.06
  /// The longest text that is drawn at a limit.
  private static let longest = 70_000

  init(_ stream: ChoiceStream, _ known: KnownValues, name: String) {
    self.stream = stream
    self.known = known
    self.name = name
  }

  /// Values for the fields of an object. With `isFirst` all names are new, but for those in
  /// `bound`, and nothing is spoiled.
  func object(_ fields: [Schema.Field], bound: Bound = [], isFirst: Bool = false) -> [JSONValue.Member] {
    var members: [JSONValue.Member] = []
    for field in fields where field.isRequired || stream.chance(0.4) {
      members.append(.init(field.name, value(field.schema, named: field.name, bound, isFirst)))
    }
    return isFirst ? members : spoiled(members, fields)
  }

  /// Values for the header fields of a route; some are left out.
  func headers(_ parameters: [Route.Parameter]) -> [(name: String, value: String)] {
    parameters.filter { $0.location == "header" && stream.chance(0.7) }.map {
      let value = value($0.schema, named: $0.name, [], false)
      return ($0.name, value.string ?? value.text)
    }
  }

  /// A value of a shape, for a field of this name.
  private func value(_ schema: Schema, named name: String, _ bound: Bound, _ isFirst: Bool) -> JSONValue {
    let kinds = ValueKind.all(of: name)
    if let own = bound.first(where: { kinds.contains($0.kind) }), isFirst || stream.chance(0.85) { return own.value }
    if case .array(let element, _) = schema {
      return .array((0..<stream.choose(4)).map { _ in value(element, named: name, bound, isFirst) })
    }
    if !isFirst, let value = remembered(kinds), schema.fault(in: value) == nil { return value }
    switch schema {
    case .string(let rule): return .string(text(rule, named: name))
    case .integer(let minimum, let maximum):
      return .int(stream.pick([1, 1, 2, 3, 50, minimum, maximum].filter { (minimum...maximum).contains($0) }))
    case .boolean: return .bool(stream.chance(0.5))
    case .either(let shapes, _): return value(stream.pick(shapes), named: name, bound, isFirst)
    case .object(let fields): return .object(object(fields, bound: bound, isFirst: isFirst))
    case .any: return stream.pick([.string(fresh()), .int(Int64(stream.choose(4))), ["x": .string(fresh())]])
    case .array: return []
    }
  }

  /// A known value. Values that clients choose are new the more often the fewer are known.
  private func remembered(_ kinds: [String]) -> JSONValue? {
    guard let kind = kinds.first else { return nil }
    let isNew =
      ValueKind.isAssigned(kind) ? stream.chance(0.03) : stream.choose(known.count(kind) + 1) == 0
    return isNew ? nil : known.draw(kinds, stream)
  }

  private func text(_ rule: Schema.StringRule, named name: String) -> String {
    if !rule.choices.isEmpty { return stream.pick(rule.choices) }
    if ValueKind.isPassword(name) { return stream.chance(0.05) ? "a wrong guess" : Self.password }
    if let limit = rule.maximumLength ?? rule.maximumBytes, limit <= Self.longest, stream.chance(0.01) {
      return String(repeating: "a", count: limit)
    }
    return rule.format == "email" || rule.pattern == "@" ? fresh() + "@example.com" : fresh()
  }

  private func fresh() -> String {
    names += 1
    return "\(name)-\(names)"
  }

  // MARK: Values that are not valid

  private func spoiled(_ members: [JSONValue.Member], _ fields: [Schema.Field]) -> [JSONValue.Member] {
    guard !members.isEmpty, stream.chance(Self.spoiling) else { return members }
    var members = members
    let index = stream.choose(members.count)
    switch stream.choose(4) {
    case 0: members.remove(at: index)
    case 1: members.append(.init("unknown", .int(1)))
    case 2: members[index].value = stream.pick([.null, .int(-1), "", [], true, .double(1.5), .object([])])
    default:
      guard let field = fields.first(where: { $0.name == members[index].name }) else { break }
      if let value = beyond(field.schema) { members[index].value = value }
    }
    return members
  }

  /// A value one beyond a limit; nil for a shape without one.
  private func beyond(_ schema: Schema) -> JSONValue? {
    switch schema {
    case .string(let rule):
      if let minimum = rule.minimumLength, minimum > 0, stream.chance(0.3) {
        return .string(String(repeating: "a", count: minimum - 1))
      }
      guard let limit = rule.maximumLength ?? rule.maximumBytes, limit <= Self.longest else { return nil }
      return .string(String(repeating: "a", count: limit + 1))
    case .integer(let minimum, let maximum):
      return .int(maximum < .max && stream.chance(0.5) ? maximum + 1 : minimum > .min ? minimum - 1 : minimum)
    case .array(let element, let maximum?) where maximum <= 2000:
      return .array(Array(repeating: value(element, named: "", [], false), count: maximum + 1))
    case .either(let shapes, _): return beyond(stream.pick(shapes))
    case .array, .boolean, .object, .any: return nil
    }
  }
}
