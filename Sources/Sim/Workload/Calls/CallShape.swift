import System

extension Schema {
  /// Whether a value has this shape.
  ///
  /// The services check requests with a function of their own, which this one judges.
  func fits(_ value: JSONValue) -> Bool {
    switch (self, value) {
    case (.any, _), (.boolean, .bool): true
    case (.string(let rule), .string(let text)):
      (rule.choices.isEmpty || rule.choices.contains(text))
        && text.unicodeScalars.count >= rule.minimumLength ?? 0
        && text.unicodeScalars.count <= rule.maximumLength ?? .max && text.utf8.count <= rule.maximumBytes ?? .max
    case (.integer(let minimum, let maximum), .int(let number)): (minimum...maximum).contains(number)
    case (.array(let element, let maximum), .array(let values)):
      values.count <= maximum ?? .max && values.allSatisfy(element.fits)
    case (.object(let fields), .object):
      fields.allSatisfy { field in value[field.name].map(field.schema.fits) ?? !field.isRequired }
    case (.either(let shapes, _), _): shapes.contains { $0.fits(value) }
    default: false
    }
  }

  /// The value that texts in a query stand for.
  func inQuery(_ texts: [String]) -> JSONValue {
    switch self {
    case .array(let element, _): .array(texts.map { element.inQuery([$0]) })
    case .integer: Int64(texts[0]).map { .int($0) } ?? .string(texts[0])
    case .boolean:
      ["true": true, "1": true, "false": false, "0": false][texts[0].lowercased()] ?? .string(texts[0])
    case .string, .object, .either, .any: .string(texts[0])
    }
  }
}
