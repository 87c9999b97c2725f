/// The OpenAPI 3.1 document and the documentation page, both made from the table that serves.
struct APIDocument {
  let service: ServiceDescription
  let routes: [Route]

  /// `GET /openapi.json`.
  var json: JSONValue {
    var paths: [JSONValue.Member] = []
    for route in routes {
      let operation = JSONValue.Member(route.method.lowercased(), self.operation(route))
      if let index = paths.firstIndex(where: { $0.name == route.path }), case .object(let members) = paths[index].value
      {
        paths[index].value = .object(members + [operation])
      } else {
        paths.append(.init(route.path, .object([operation])))
      }
    }
    return [
      "openapi": "3.1.0",
      "info": ["title": .string(service.title), "version": .string(service.version)],
      "paths": .object(paths),
      "components": [
        "securitySchemes": [
          "accessToken": ["type": "http", "scheme": "bearer", "bearerFormat": "JWT"],
          "serviceToken": [
            "type": "http", "scheme": "bearer",
            "description": "Needed where one is configured, and over anything but loopback.",
          ],
        ],
        "schemas": ["Error": service.errorSchema.document],
      ],
    ]
  }

  private func operation(_ route: Route) -> JSONValue {
    var members: [JSONValue.Member] = [
      .init("summary", .string(route.summary)),
      .init("operationId", .string(route.operationID)),
    ]
    switch route.access {
    case .anyone: break
    case .user: members.append(.init("security", [["accessToken": []]]))
    case .service: members.append(.init("security", [["serviceToken": []], .object([])]))
    }
    let parameters = route.parameters + queryParameters(of: route)
    if !parameters.isEmpty {
      members.append(
        .init(
          "parameters",
          .array(
            parameters.map { parameter in
              [
                "name": .string(parameter.name), "in": .string(parameter.location),
                "required": .bool(parameter.isRequired), "description": .string(parameter.summary),
                "schema": parameter.schema.document,
              ]
            })))
    }
    if let arguments = route.arguments, route.method != "GET" {
      let schema = ["schema": Schema.object(arguments).document] as JSONValue
      members.append(
        .init(
          "requestBody",
          ["required": true, "content": ["application/json": schema, "application/x-www-form-urlencoded": schema]]))
    }
    if let body = route.body {
      members.append(
        .init(
          "requestBody",
          [
            "required": true, "content": ["application/json": ["schema": body.document]],
          ]))
    }
    members.append(
      .init(
        "responses",
        .object(
          responses(of: route).map { response in
            .init("\(response.status)", self.response(response))
          })))
    return .object(members)
  }

  /// Arguments may come in the query of any request; the document says so of those that have no body.
  private func queryParameters(of route: Route) -> [Route.Parameter] {
    guard route.method == "GET" else { return [] }
    return (route.arguments ?? []).map {
      Route.Parameter(
        name: $0.name, location: "query", summary: $0.summary, schema: $0.schema, isRequired: $0.isRequired)
    }
  }

  /// What the route says, and what the server itself may answer.
  private func responses(of route: Route) -> [Route.Response] {
    var all = route.responses
    func add(_ status: Int, _ summary: String) {
      if !all.contains(where: { $0.status == status }) { all.append(.init(status, summary)) }
    }
    add(400, "The request is malformed")
    if route.body != nil || route.arguments != nil {
      add(413, "The body is too large")
      add(415, "The body is not JSON")
    }
    switch route.access {
    case .anyone: break
    case .user: add(401, "No valid access token")
    case .service: add(401, "No service token")
    }
    return all.sorted { $0.status < $1.status }
  }

  private func response(_ response: Route.Response) -> JSONValue {
    let schema = response.schema?.document ?? ["$ref": "#/components/schemas/Error"]
    var members: [JSONValue.Member] = [
      .init("description", .string(response.summary)),
      .init("headers", ["X-Request-ID": ["schema": ["type": "string"]]]),
    ]
    members.append(.init("content", .object([.init(response.contentType, ["schema": schema])])))
    return .object(members)
  }

  /// `GET /docs`: one page without scripts and without anything from elsewhere.
  var page: String {
    var rows = ""
    for route in routes {
      let access =
        switch route.access {
        case .anyone: ""
        case .user: "<span>access token</span>"
        case .service: "<span>services only</span>"
        }
      rows += "<section><h2><b>\(route.method)</b> \(route.path) \(access)</h2><p>\(HTML.escape(route.summary))</p>"
      if let body = route.body ?? route.arguments.map({ .object($0) }) {
        rows += "<h3>Body</h3><pre>\(HTML.escape(Self.pretty(body.document)))</pre>"
      }
      rows += "<h3>Answers</h3><ul>"
      for response in responses(of: route) {
        rows += "<li><b>\(response.status)</b> \(HTML.escape(response.summary))</li>"
      }
      rows += "</ul></section>"
    }
    return """
      <!doctype html><html lang="en"><head><meta charset="utf-8"><title>\(HTML.escape(service.title))</title>
      <meta name="viewport" content="width=device-width, initial-scale=1"><style>
      body{font:16px/1.5 system-ui,sans-serif;margin:auto;max-width:52rem;padding:1rem;color:#1d2433;background:#fff}
      section{border:1px solid #d5dae3;border-radius:8px;margin:1rem 0;padding:.2rem 1rem}h2{font-size:1.1rem}
      h2 b{color:#0b57d0}h2 span{font-size:.75rem;background:#eef2f9;border-radius:4px;padding:.1rem .4rem}
      h3{font-size:.9rem;margin:.5rem 0 0}pre{background:#f6f8fb;padding:.6rem;overflow:auto;font-size:.85rem}
      @media(prefers-color-scheme:dark){body{background:#12161f;color:#e4e8f0}pre,h2 span{background:#1c2230}
      section{border-color:#2c3446}h2 b,a{color:#8ab4f8}}
      </style></head><body><h1>\(HTML.escape(service.title))</h1>
      <p>Version \(HTML.escape(service.version)). The same as <a href="/openapi.json">OpenAPI 3.1</a>.</p>
      \(rows)</body></html>
      """
  }

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

extension Route {
  fileprivate var operationID: String {
    let words = path.split { !$0.isLetter && !$0.isNumber }.map { $0.prefix(1).uppercased() + $0.dropFirst() }
    return method.lowercased() + (words.isEmpty ? "Root" : words.joined())
  }
}
