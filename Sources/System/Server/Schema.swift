/// The shape of a JSON value: what the OpenAPI document says and what a request's body is checked against are the same thing.
public indirect enum Schema: Sendable {
  case string(StringRule = StringRule())
  case integer(minimum: Int64? = nil)
  case boolean
  case array(of: Schema)
  case object([Field])
  /// Any value.
  case any

  /// One field of an object.
  public struct Field: Sendable {
    let name: String
    let schema: Schema
    let isRequired: Bool
    let summary: String

    /// A field that has to be there, or with `isRequired` false may be left out.
    public init(_ name: String, _ schema: Schema, isRequired: Bool = true, _ summary: String = "") {
      self.name = name
      self.schema = schema
      self.isRequired = isRequired
      self.summary = summary
    }
  }

  /// What a string has to be like; lengths are in Unicode scalars, as in JSON Schema.
  public struct StringRule: Sendable {
    var minimumLength: Int?
    var maximumLength: Int?
    var format: String?
    var pattern: String?
    var values: [String]?
    var example: String?

    /// Makes a rule; `format` and `pattern` are for the document, the service checks what they say.
    public init(
      minimumLength: Int? = nil, maximumLength: Int? = nil, format: String? = nil, pattern: String? = nil,
      values: [String]? = nil, example: String? = nil
    ) {
      self.minimumLength = minimumLength
      self.maximumLength = maximumLength
      self.format = format
      self.pattern = pattern
      self.values = values
      self.example = example
    }
  }

  /// Why a value does not have this shape, naming the field; nil when it does.
  public func fault(in value: JSONValue, at path: String = "") -> String? {
    let name = path.isEmpty ? "the body" : path
    switch (self, value) {
    case (.any, _), (.boolean, .bool): return nil
    case (.string(let rule), .string(let text)): return rule.fault(in: text).map { "\(name): \($0)" }
    case (.integer(let minimum), .int(let number)):
      if let minimum, number < minimum { return "\(name): must be at least \(minimum)" }
      return nil
    case (.array(let element), .array(let values)):
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

  /// The value that the texts of a query or a form stand for; a text that cannot be one is kept, for `fault` to name.
  func value(ofTexts texts: [String]) -> JSONValue {
    switch self {
    case .array(let element): return .array(texts.map { element.value(ofTexts: [$0]) })
    case .integer: return Int64(texts[0]).map { .int($0) } ?? .string(texts[0])
    case .boolean:
      switch texts[0].lowercased() {
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
    case .any: "any value"
    }
  }

  /// As JSON Schema (2020-12), which OpenAPI 3.1 speaks.
  var document: JSONValue {
    switch self {
    case .any: return .object([])
    case .boolean: return ["type": "boolean"]
    case .integer(let minimum):
      return .object([.init("type", "integer")] + (minimum.map { [.init("minimum", .int($0))] } ?? []))
    case .array(let element): return ["type": "array", "items": element.document]
    case .string(let rule): return rule.document
    case .object(let fields):
      let properties = fields.map { field -> JSONValue.Member in
        guard case .object(var members) = field.schema.document, !field.summary.isEmpty else {
          return .init(field.name, field.schema.document)
        }
        members.append(.init("description", .string(field.summary)))
        return .init(field.name, .object(members))
      }
      return [
        "type": "object", "properties": .object(properties),
        "required": .array(fields.filter(\.isRequired).map { .string($0.name) }),
      ]
    }
  }
}

extension Schema.StringRule {
  fileprivate func fault(in text: String) -> String? {
    if let values, !values.contains(text) { return "must be one of \(values.joined(separator: ", "))" }
    guard minimumLength != nil || maximumLength != nil else { return nil }
    let length = text.unicodeScalars.count
    if let minimumLength, length < minimumLength { return "must have at least \(minimumLength) characters" }
    if let maximumLength, length > maximumLength { return "must have at most \(maximumLength) characters" }
    return nil
  }

  fileprivate var document: JSONValue {
    var members: [JSONValue.Member] = [.init("type", "string")]
    if let minimumLength { members.append(.init("minLength", .int(Int64(minimumLength)))) }
    if let maximumLength { members.append(.init("maxLength", .int(Int64(maximumLength)))) }
    if let format { members.append(.init("format", .string(format))) }
    if let pattern { members.append(.init("pattern", .string(pattern))) }
    if let values { members.append(.init("enum", .array(values.map { .string($0) }))) }
    if let example { members.append(.init("examples", .array([.string(example)]))) }
    return .object(members)
  }
}
