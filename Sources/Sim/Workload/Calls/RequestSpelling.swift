import Simulation
import System

/// One of the ways in which a client may write a request. The contract gives the same answer to
/// each: where the arguments are, how they are encoded, how the body is framed, and which version
/// of HTTP it is.
struct RequestSpelling {
  /// Where the arguments of a route are. A route with a body takes them there only.
  enum Place {
    /// In the query of a GET, otherwise in JSON.
    case usual
    case query
    case form
    case json
    /// Some in the query, the others in a form.
    case split
    /// A binary property list, where the route takes one.
    case propertyList
  }

  var place = Place.usual
  /// The media type of JSON.
  var json = "application/json"
  /// The bytes of each chunk of the body; 0 for a body with its length.
  var chunk = 0
  var expectsContinue = false
  /// Whether the version is 1.0, and whether the connection should stay open all the same.
  var isVersion10 = false
  var keepsAlive = false
  /// Whether the names of fields are in upper case.
  var isUpper = false
  var scheme = "Bearer"
  /// Whether every byte of a query or form, and every character of JSON, is escaped.
  var isEscaped = false
  /// White space between the tokens of JSON.
  var space = ""
  /// Whether the target has the scheme and the host.
  var isAbsolute = false
  /// The request's own id.
  var requestID: String?

  /// The share of the requests that are not written in the usual way.
  private static let share = 0.3

  /// The usual way.
  init() {}

  /// A way to write a request to `route`: mostly the usual one.
  init(for route: Route, _ stream: ChoiceStream) {
    guard stream.chance(Self.share) else { return }
    if route.arguments != nil {
      place = stream.pick([.usual, .query, .form, .json, .split])
    } else if route.takesPropertyLists, stream.chance(0.5) {
      place = .propertyList
    }
    json = stream.pick([
      "application/json", "application/json; charset=utf-8", "Application/JSON", "application/merge-patch+json",
    ])
    isVersion10 = stream.chance(0.2)
    if isVersion10 {
      keepsAlive = stream.chance(0.6)
    } else {
      if stream.chance(0.3) { chunk = stream.pick([1, 7, 100, 1_000_000]) }
      expectsContinue = stream.chance(0.2)
    }
    isUpper = stream.chance(0.3)
    scheme = stream.pick(["Bearer", "bearer", "BEARER"])
    isEscaped = stream.chance(0.3)
    space = stream.pick(["", " ", "\r\n\t"])
    isAbsolute = stream.chance(0.2)
    if stream.chance(0.3) { requestID = "id-\(stream.choose(1000))" }
  }

  // MARK: Arguments

  /// The arguments in the target and in the body, and as the service reads them.
  struct Arguments {
    var query: [JSONValue.Member] = []
    var body: [UInt8] = []
    var type: String?
    var sent: JSONValue
  }

  /// Writes the arguments of a request to `row`.
  func arguments(_ members: [JSONValue.Member], of row: CallRow) -> Arguments {
    let fields = row.fields ?? []
    var place = place
    if place == .usual { place = row.route.method == "GET" ? .query : .json }
    switch place {
    case .query: return Arguments(query: members, sent: Self.read(members, fields))
    case .form:
      return Arguments(
        body: Array(pairs(members).utf8), type: "application/x-www-form-urlencoded", sent: Self.read(members, fields))
    case .split:
      let half = members.count / 2
      return Arguments(
        query: Array(members[..<half]), body: Array(pairs(Array(members[half...])).utf8),
        type: "application/x-www-form-urlencoded", sent: Self.read(members, fields))
    case .usual, .json, .propertyList:
      return Arguments(body: text(.object(members)), type: json, sent: .object(members))
    }
  }

  /// Writes the body of a request to a route that has one.
  func body(_ members: [JSONValue.Member]) -> Arguments {
    let value = JSONValue.object(members)
    guard place == .propertyList else { return Arguments(body: text(value), type: json, sent: value) }
    return Arguments(body: PropertyList.bytes(value), type: "application/bytes", sent: value)
  }

  /// The pairs of a query or a form; an array has one for each element.
  func pairs(_ members: [JSONValue.Member]) -> String {
    members.flatMap { member in
      Self.texts(member).map { "\(encoded(member.name))=\(encoded($0))" }
    }.joined(separator: "&")
  }

  private func encoded(_ text: String) -> String {
    guard isEscaped else { return PercentEncoding.encode(text) }
    return text.utf8.map { $0 == 0x20 ? "+" : "%" + String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
  }

  private static func texts(_ member: JSONValue.Member) -> [String] {
    (member.value.array ?? [member.value]).map { $0.string ?? $0.text }
  }

  /// The values that a service reads from a query or a form, where all values are texts.
  private static func read(_ members: [JSONValue.Member], _ fields: [Schema.Field]) -> JSONValue {
    .object(
      fields.compactMap { field in
        let texts = members.filter { $0.name == field.name }.flatMap(texts)
        return texts.isEmpty ? nil : .init(field.name, field.schema.inQuery(texts))
      })
  }

  /// JSON with this spelling's escapes and white space.
  private func text(_ value: JSONValue) -> [UInt8] {
    guard isEscaped || !space.isEmpty else { return value.bytes }
    var output = ""
    write(value, to: &output)
    return Array(output.utf8)
  }

  private func write(_ value: JSONValue, to output: inout String) {
    output += space
    switch value {
    case .string(let text): output += quoted(text)
    case .array(let elements):
      output += "["
      for (index, element) in elements.enumerated() {
        if index > 0 { output += space + "," }
        write(element, to: &output)
      }
      output += space + "]"
    case .object(let members):
      output += "{"
      for (index, member) in members.enumerated() {
        output += (index > 0 ? "," : "") + space + quoted(member.name) + space + ":"
        write(member.value, to: &output)
      }
      output += space + "}"
    case .null, .bool, .int, .double: output += value.text
    }
    output += space
  }

  private func quoted(_ text: String) -> String {
    guard isEscaped else { return JSONValue.string(text).text }
    return "\""
      + text.utf16.map { unit in
        let digits = String(unit, radix: 16)
        return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      }.joined() + "\""
  }

  // MARK: Bytes

  /// A field line.
  func line(_ name: String, _ value: String) -> String {
    "\(isUpper ? name.uppercased() : name): \(value)\r\n"
  }

  /// The lines that say how the body is framed, and the body so framed.
  func framed(_ body: [UInt8]) -> (lines: String, bytes: [UInt8]) {
    var lines = expectsContinue ? line("expect", "100-continue") : ""
    guard chunk > 0 else { return (lines + line("content-length", "\(body.count)"), body) }
    lines += line("transfer-encoding", "chunked")
    var bytes: [UInt8] = []
    for start in stride(from: 0, to: body.count, by: chunk) {
      let part = body[start..<min(start + chunk, body.count)]
      bytes += Array("\(String(part.count, radix: 16))\r\n".utf8) + part + [13, 10]
    }
    return (lines, bytes + Array("0\r\n\r\n".utf8))
  }
}
