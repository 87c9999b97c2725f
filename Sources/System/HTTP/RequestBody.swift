/// The input of a request, validated against its route.
enum RequestBody {
  /// Maximum number of parameters in a query or a form. The longest list of a route needs fewer.
  static let maximumParameters = 10_000

  /// A JSON body of the given shape. With `takesPropertyLists`, a binary property list is accepted
  /// too.
  static func value(
    _ request: HTTPRequest, _ schema: Schema, takesPropertyLists: Bool
  ) throws(HTTPFailure) -> JSONValue {
    guard !request.body.isEmpty else { throw HTTPFailure(400, "the body: missing") }
    let type = type(of: request)
    let value: JSONValue
    if takesPropertyLists, type == .bytes {
      guard PropertyList.isOne(request.body) else {
        // Reading a pickle would execute code.
        throw HTTPFailure(415, "application/bytes must be a binary property list; pickles are refused")
      }
      do throws(PropertyList.Failure) { value = try PropertyList.parse(request.body) } catch {
        throw HTTPFailure(400, "the body is not a property list: \(error.reason)")
      }
    } else {
      guard type == .json else { throw HTTPFailure(415, "the body must be application/json") }
      value = try parse(request.body)
    }
    if let fault = schema.fault(in: value) { throw HTTPFailure(400, fault) }
    return value
  }

  /// Arguments from the query, a form, or a JSON object. The body takes precedence over the query.
  static func arguments(_ request: HTTPRequest, _ fields: [Schema.Field]) throws(HTTPFailure) -> JSONValue {
    var members: [JSONValue.Member] = []
    if !request.body.isEmpty {
      switch type(of: request) {
      case .json:
        let value = try parse(request.body)
        guard let given = value.members else {
          throw HTTPFailure(400, "the body: must be an object, not \(value.kind)")
        }
        members = given
      case .form:
        members = try read(request.body, fields, "the body")
      case .bytes, .other:
        throw HTTPFailure(415, "the body must be application/json or application/x-www-form-urlencoded")
      }
    }
    if let query = request.query {
      for member in try read(Array(query.utf8), fields, "the query")
      where !members.contains(where: { $0.name.hasSameBytes(as: member.name) }) {
        members.append(member)
      }
    }
    let value = JSONValue.object(members)
    if let fault = Schema.object(fields).fault(in: value) { throw HTTPFailure(400, fault) }
    return value
  }

  /// Validates the header fields of the route that the request has.
  static func checkFields(_ request: HTTPRequest, _ parameters: [Route.Parameter]) throws(HTTPFailure) {
    for parameter in parameters {
      let name = parameter.name.lowercased()
      guard let field = request.fields.pairs.first(where: { $0.name.hasSameBytes(as: name) }) else { continue }
      let value = parameter.schema.value(ofTexts: [field.value])
      if let fault = parameter.schema.fault(in: value, at: parameter.name) { throw HTTPFailure(400, fault) }
    }
  }

  private static func read(
    _ bytes: [UInt8], _ fields: [Schema.Field], _ place: String
  ) throws(HTTPFailure) -> [JSONValue.Member] {
    guard bytes.count(where: { $0 == UInt8(ascii: "&") }) < maximumParameters else {
      throw HTTPFailure(400, "\(place) has more than \(maximumParameters) parameters")
    }
    guard let pairs = PercentEncoding.decodeForm(bytes) else {
      throw HTTPFailure(400, "\(place) is not percent-encoded UTF-8")
    }
    return fields.compactMap { field in
      let texts = pairs.filter { $0.name.hasSameBytes(as: field.name) }.map(\.value)
      return texts.isEmpty ? nil : JSONValue.Member(field.name, field.schema.value(ofTexts: texts))
    }
  }

  private static func parse(_ bytes: [UInt8]) throws(HTTPFailure) -> JSONValue {
    do throws(JSONError) {
      return try JSONParser.parse(bytes)
    } catch {
      throw HTTPFailure(400, "the body is not JSON: \(error)")
    }
  }

  private enum MediaType {
    case json
    case form
    case bytes
    case other
  }

  private static func type(of request: HTTPRequest) -> MediaType {
    // The most common spelling first.
    if request.fields.has("content-type", "application/json") { return .json }
    guard let field = request.fields["content-type"] else { return .other }
    let name = field.utf8.prefix { $0 != UInt8(ascii: ";") && $0 != UInt8(ascii: " ") }
    switch String(Substring(name)).lowercased() {
    case "application/json": return .json
    case "application/x-www-form-urlencoded": return .form
    case "application/bytes": return .bytes
    case let type where type.hasPrefix("application/") && type.hasSuffix("+json"): return .json
    default: return .other
    }
  }
}
