/// The shape of a JSON value. Requests, events and queue messages are validated against it; the
/// OpenAPI and AsyncAPI documents show it.
public indirect enum Schema: Sendable {
  case string(StringRule = StringRule())
  case integer(minimum: Int64 = -ClientBounds.counter, maximum: Int64 = ClientBounds.counter)
  case boolean
  case array(of: Schema, maximum: Int? = nil)
  case object([Field])
  /// A value of one of these shapes. The text describes them in errors.
  case either([Schema], String)
  /// Any value.
  case any

  /// One field of an object.
  public struct Field: Sendable {
    package let name: String
    package let schema: Schema
    package let isRequired: Bool
    let summary: String

    /// Makes a field. It is required unless `isRequired` is false.
    public init(_ name: String, _ schema: Schema, isRequired: Bool = true, _ summary: String = "") {
      self.name = name
      self.schema = schema
      self.isRequired = isRequired
      self.summary = summary
    }
  }

  /// The rule of a string. Lengths are in Unicode scalars, as in JSON Schema.
  public struct StringRule: Sendable {
    package var minimumLength: Int?
    package var maximumLength: Int?
    /// The limit in bytes of UTF-8. JSON Schema has no such limit: the document shows it as
    /// `maxLength`, which is never too small, and in words.
    package var maximumBytes: Int?
    package var format: String?
    package var pattern: String?
    var values: [String]?
    var example: String?

    /// Makes a rule. `format` and `pattern` are documentation only; the service validates them
    /// itself.
    public init(
      minimumLength: Int? = nil, maximumLength: Int? = nil, maximumBytes: Int? = nil, format: String? = nil,
      pattern: String? = nil,
      values: [String]? = nil, example: String? = nil
    ) {
      self.minimumLength = minimumLength
      self.maximumLength = maximumLength
      self.maximumBytes = maximumBytes
      self.format = format
      self.pattern = pattern
      self.values = values
      self.example = example
    }
  }

  /// Why a value does not have this shape, with the name of the field; nil if it does.
  public func fault(in value: JSONValue, at path: String = "") -> String? {
    let name = path.isEmpty ? "the body" : path
    switch (self, value) {
    case (.any, _), (.boolean, .bool): return nil
    case (.string(let rule), .string(let text)): return rule.fault(in: text).map { "\(name): \($0)" }
    case (.integer(let minimum, let maximum), .int(let number)):
      if number < minimum { return "\(name): must be at least \(minimum)" }
      if number > maximum { return "\(name): must be at most \(maximum)" }
      return nil
    case (.either(let shapes, _), _) where shapes.contains { $0.fault(in: value) == nil }: return nil
    case (.array(let element, let maximum), .array(let values)):
      if let maximum, values.count > maximum { return "\(name): must have at most \(maximum) elements" }
      for (index, value) in values.enumerated() {
        if let fault = element.fault(in: value, at: "\(path)[\(index)]") { return fault }
      }
      return nil
    case (.object(let fields), .object):
      for field in fields {
        let inner = path.isEmpty ? field.name : "\(path).\(field.name)"
        if let value = value[field.name] {
          if let fault = field.schema.fault(in: value, at: inner) { return fault }
        } else if field.isRequired {
          return "\(inner): missing"
        }
      }
      return nil
    default: return "\(name): must be \(kind), not \(value.kind)"
    }
  }

  /// The value that the texts of a query or a form represent. An invalid text remains a string,
  /// which `fault` then reports.
  func value(ofTexts texts: [String]) -> JSONValue {
    switch self {
    case .array(let element, _): return .array(texts.map { element.value(ofTexts: [$0]) })
    case .integer: return Int64(texts[0]).map { .int($0) } ?? .string(texts[0])
    case .boolean:
      // The longest word has five letters. Longer texts need no comparison.
      switch texts[0].utf8.count <= 5 ? texts[0].lowercased() : "" {
      case "true", "1": return true
      case "false", "0": return false
      default: return .string(texts[0])
      }
    default: return .string(texts[0])
    }
  }

  private var kind: String {
    switch self {
    case .string: "a string"
    case .integer: "an integer"
    case .boolean: "a boolean"
    case .array: "an array"
    case .object: "an object"
    case .either(_, let text): text
    case .any: "any value"
    }
  }

  /// The JSON Schema (2020-12) that OpenAPI 3.1 uses.
  var document: JSONValue {
    switch self {
    case .any: return .object([])
    case .boolean: return ["type": "boolean"]
    case .integer(let minimum, let maximum):
      return ["type": "integer", "minimum": .int(minimum), "maximum": .int(maximum)]
    case .array(let element, let maximum):
      let members: [JSONValue.Member] = [.init("type", "array"), .init("items", element.document)]
      return .object(members + (maximum.map { [.init("maxItems", .int(Int64($0)))] } ?? []))
    case .either(let shapes, let text):
      return ["anyOf": .array(shapes.map(\.document)), "description": .string(text)]
    case .string(let rule): return rule.document
    case .object(let fields):
      return [
        "type": "object", "properties": .object(fields.map { .init($0.name, $0.document) }),
        "required": .array(fields.filter(\.isRequired).map { .string($0.name) }),
      ]
    }
  }
}

extension Schema.Field {
  /// The schema, with the summary of the field added to its description.
  var document: JSONValue {
    guard !summary.isEmpty, var members = schema.document.members else { return schema.document }
    let more = schema.document["description"]?.string.map { "; " + $0 } ?? ""
    members.removeAll { $0.name == "description" }
    return .object(members + [.init("description", .string(summary + more))])
  }
}

extension Schema.StringRule {
  /// The allowed values; empty for a rule that allows any.
  package var choices: [String] { values ?? [] }

  /// The example of the rule, or the first of its allowed values.
  var exampleOrFirst: String? { example ?? values?.first }

  fileprivate func fault(in text: String) -> String? {
    if let values, !values.contains(where: { $0.hasSameBytes(as: text) }) {
      return "must be one of \(values.joined(separator: ", "))"
    }
    if let maximumBytes, text.utf8.count > maximumBytes { return "must have at most \(maximumBytes) bytes" }
    guard minimumLength != nil || maximumLength != nil else { return nil }
    let length = text.unicodeScalars.count
    if let minimumLength, length < minimumLength { return "must have at least \(minimumLength) characters" }
    if let maximumLength, length > maximumLength { return "must have at most \(maximumLength) characters" }
    return nil
  }

  fileprivate var document: JSONValue {
    var members: [JSONValue.Member] = [.init("type", "string")]
    if let minimumLength { members.append(.init("minLength", .int(Int64(minimumLength)))) }
    if let limit = maximumLength ?? maximumBytes { members.append(.init("maxLength", .int(Int64(limit)))) }
    if let maximumBytes { members.append(.init("description", .string("at most \(maximumBytes) bytes of UTF-8"))) }
    if let format { members.append(.init("format", .string(format))) }
    if let pattern { members.append(.init("pattern", .string(pattern))) }
    if let values { members.append(.init("enum", .array(values.map { .string($0) }))) }
    if let example { members.append(.init("examples", .array([.string(example)]))) }
    return .object(members)
  }
}
