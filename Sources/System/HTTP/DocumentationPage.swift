/// `GET /docs`: one page without scripts and external resources. It shows the routes, each with an
/// example command, and the events and queue messages.
struct DocumentationPage {
  let document: APIDocument
  let messages: [MessageTable]

  /// The page, split where the host and port of the service are inserted.
  var parts: [String] {
    page.split(separator: Self.hostMark, omittingEmptySubsequences: false).map(String.init)
  }

  /// A character that no text of the tables contains.
  private static let hostMark: Character = "\u{1}"

  /// The host and port of a `Host` field, or an example if the field has unsafe characters.
  static func host(_ field: String?) -> String {
    guard let field, (1...255).contains(field.utf8.count),
      field.utf8.allSatisfy({ $0.isLetter || $0.isDigit || Array(".:-[]".utf8).contains($0) })
    else { return "127.0.0.1" }
    return field
  }

  private var page: String {
    let service = document.service
    let also = messages.isEmpty ? "" : " and <a href=\"/asyncapi.json\">AsyncAPI 3.0</a>"
    return """
      <!doctype html><html lang="en"><head><meta charset="utf-8"><title>\(HTML.escape(service.title))</title>
      <meta name="viewport" content="width=device-width, initial-scale=1"><style>
      body{font:16px/1.5 system-ui,sans-serif;margin:auto;max-width:52rem;padding:1rem;color:#1d2433;background:#fff}
      section{border:1px solid #d5dae3;border-radius:8px;margin:1rem 0;padding:.2rem 1rem}h3{font-size:1.1rem}
      h3 b,a{color:#0b57d0}h3 span{font-size:.75rem;background:#eef2f9;border-radius:4px;padding:.1rem .4rem}
      h3,p,li{overflow-wrap:anywhere}
      h4{font-size:.9rem;margin:.5rem 0 0}pre{background:#f6f8fb;padding:.6rem;overflow:auto;font-size:.85rem}
      @media(prefers-color-scheme:dark){body{background:#12161f;color:#e4e8f0}pre,h3 span{background:#1c2230}
      section{border-color:#2c3446}h3 b,a{color:#8ab4f8}}
      </style></head><body><main><h1>\(HTML.escape(service.title))</h1>
      <p>Version \(HTML.escape(service.version)). The same as <a href="/openapi.json">OpenAPI 3.1</a>\(also).</p>
      <h2>Requests</h2>\(document.routes.map(section).joined())
      \(messages.map(sections).joined())</main></body></html>
      """
  }

  private func section(_ route: Route) -> String {
    let access =
      switch route.access {
      case .anyone: ""
      case .user: "<span>access token</span>"
      case .service: "<span>services only</span>"
      case .operators: "<span>operators only</span>"
      }
    var text = "<section><h3><b>\(route.method)</b> \(route.path) \(access)</h3><p>\(HTML.escape(route.summary))</p>"
    text += Self.block(ExampleRequest(route: route, host: String(Self.hostMark)).command)
    if let body = route.body ?? route.arguments.map({ .object($0) }) {
      text += "<h4>\(route.method == "GET" ? "Query" : "Body")</h4>" + Self.block(Self.pretty(body.document))
    }
    let answers = route.allResponses.map {
      "<li><b>\($0.status)</b> \(HTML.escape($0.summary))</li>"
    }
    return text + "<h4>Answers</h4><ul>\(answers.joined())</ul></section>"
  }

  private func sections(_ table: MessageTable) -> String {
    let heading =
      switch table.transport {
      case .socketIO:
        "<h2>Socket.IO events</h2><p>Socket.IO protocol 5, Engine.IO 4, at /socket.io/.</p>"
          + table.notes.sorted { $0.key < $1.key }.map { "<p>\(HTML.escape("\($0.key): \($0.value)"))</p>" }.joined()
      case .queues: "<h2>Queue messages</h2><p>AMQP 0-9-1; a body is JSON with TYPE and DATA.</p>"
      }
    return heading + table.rows.map { section($0, in: table) }.joined()
  }

  private func section(_ row: MessageRow, in table: MessageTable) -> String {
    let direction =
      switch (table.transport, row.direction) {
      case (.socketIO, .receive): "from clients"
      case (.socketIO, .send): "to clients"
      case (.queues, .receive): "received"
      case (.queues, .send): "sent"
      }
    var text = "<section><h3><b>\(row.name)</b> \(HTML.escape(row.channel)) <span>\(direction)</span></h3>"
    text += "<p>\(HTML.escape(row.summary))</p>"
    switch table.transport {
    case .socketIO:
      let namespace = row.channel == "/" ? "" : row.channel + ","
      let id = row.direction == .receive && row.answer != nil ? "1" : ""
      text += Self.block("42\(namespace)\(id)" + JSONValue.array([.string(row.name), row.data.example]).text)
    case .queues:
      text += Self.block((["TYPE": .string(row.name), "DATA": row.data.example] as JSONValue).text)
    }
    text += "<h4>Data</h4>" + Self.block(Self.pretty(row.data.document))
    if let answer = row.answer { text += "<h4>Answer</h4>" + Self.block(Self.pretty(answer.document)) }
    return text + "</section>"
  }

  private static func block(_ text: String) -> String { "<pre tabindex=\"0\">\(HTML.escape(text))</pre>" }

  private static func pretty(_ value: JSONValue, indent: String = "") -> String {
    switch value {
    case .object(let members) where !members.isEmpty:
      let inner = members.map {
        "\(indent)  \(JSONValue.string($0.name).text): \(pretty($0.value, indent: indent + "  "))"
      }
      return "{\n\(inner.joined(separator: ",\n"))\n\(indent)}"
    default: return value.text
    }
  }
}

/// A command that sends an example request to a route.
struct ExampleRequest {
  let route: Route
  let host: String

  /// The command, for a POSIX shell.
  var command: String {
    var words = ["curl -s"]
    if route.responses.contains(where: { $0.contentType == "text/event-stream" }) { words.append("-N --max-time 5") }
    let hasQuery = route.method == "GET" && route.arguments != nil
    if hasQuery {
      words.append("--get")
    } else if route.method != "GET" && !(route.method == "POST" && data != nil) {
      words.append("-X \(route.method)")
    }
    words.append("http://\(host)\(route.path)")
    if case .user = route.access { words.append("-H \"Authorization: Bearer $ACCESS_TOKEN\"") }
    if case .operators = route.access { words.append("-H \"Authorization: Bearer $SERVICE_TOKEN\"") }
    for parameter in route.parameters where parameter.location == "header" {
      guard let value = parameter.schema.givenExample else { continue }
      words.append("-H " + Self.quoted("\(parameter.name): \(value)"))
    }
    if hasQuery {
      for argument in route.arguments ?? [] where argument.isRequired {
        let value = argument.schema.example
        words.append("--data-urlencode " + Self.quoted("\(argument.name)=\(value.string ?? value.text)"))
      }
    } else if let data {
      words.append("-H 'Content-Type: application/json' -d " + Self.quoted(data.text))
    }
    return words.joined(separator: " ")
  }

  private var data: JSONValue? { route.example ?? (route.body ?? route.arguments.map { .object($0) })?.example }

  private static func quoted(_ text: String) -> String {
    "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
  }
}

extension Schema {
  /// The example of a schema that has one.
  fileprivate var givenExample: String? {
    if case .string(let rule) = self { rule.example } else { nil }
  }

  /// A value of this shape with its required fields.
  var example: JSONValue {
    switch self {
    case .any: return "anything"
    case .boolean: return false
    case .integer(let minimum, _): return .int(max(minimum, 1))
    case .array(let element, _): return [element.example]
    case .either(let shapes, _): return shapes.first?.example ?? .null
    case .object(let fields):
      return .object(fields.filter(\.isRequired).map { .init($0.name, $0.schema.example) })
    case .string(let rule):
      if let example = rule.exampleOrFirst { return .string(example) }
      if rule.format == "date-time" { return "2026-01-31T12:00:00.000Z" }
      let text = "example"
      return .string(text + String(repeating: "-", count: max(0, (rule.minimumLength ?? 0) - text.count)))
    }
  }
}
