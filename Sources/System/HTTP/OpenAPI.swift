/// The OpenAPI 3.1 document, generated from the route table.
struct APIDocument {
  let service: ServiceDescription
  let routes: [Route]

  /// The body of `GET /openapi.json`.
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
            "description": "Required if one is configured, and always beyond loopback.",
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
    case .operators: members.append(.init("security", [["serviceToken": []]]))
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
          route.allResponses.map { response in
            .init("\(response.status)", self.response(response))
          })))
    return .object(members)
  }

  /// Arguments are accepted in the query of any request. The document shows them there for requests
  /// without a body.
  private func queryParameters(of route: Route) -> [Route.Parameter] {
    guard route.method == "GET" else { return [] }
    return (route.arguments ?? []).map {
      Route.Parameter(
        name: $0.name, location: "query", summary: $0.summary, schema: $0.schema, isRequired: $0.isRequired)
    }
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
}

extension Route {
  fileprivate var operationID: String {
    let words = path.split { !$0.isLetter && !$0.isNumber }.map { $0.prefix(1).uppercased() + $0.dropFirst() }
    return method.lowercased() + (words.isEmpty ? "Root" : words.joined())
  }
}
