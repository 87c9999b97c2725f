/// One of the services, running: what both worlds start and stop.
public protocol Service: Sendable {
  /// Where it listens, by name: `users`, `chat` …
  var addresses: [(name: String, address: SocketAddress)] { get }
  /// Stops taking requests, answers those in flight, closes its database.
  func drain() async
}

/// The routes that every HTTP service has.
enum CommonRoutes {
  /// `/openapi.json`, `/docs` and `/metrics` beside `routes`. The document is made once.
  static func adding(to routes: [Route], service: ServiceDescription, metrics: Metrics) -> [Route] {
    let text = Schema.string()
    let common = [
      Route(
        "GET", "/metrics", "Counters for Prometheus", access: .service,
        responses: [.init(200, "The counters", text, contentType: "text/plain; version=0.0.4")]
      ) { _ in
        .response(
          HTTPResponse(
            status: 200, fields: [("content-type", "text/plain; version=0.0.4")], body: Array(metrics.text.utf8)))
      }
    ]
    let document = Route(
      "GET", "/openapi.json", "This service's OpenAPI 3.1 document", responses: [.init(200, "The document", .any)]
    ) {
      _ in .json(.null)
    }
    let page = Route(
      "GET", "/docs", "This service's documentation",
      responses: [.init(200, "A page", text, contentType: "text/html; charset=utf-8")]
    ) { _ in .json(.null) }
    let api = APIDocument(service: service, routes: routes + common + [document, page])
    let json = api.json.bytes
    let html = Array(api.page.utf8)
    return routes + common + [
      document.with { _ in
        .response(HTTPResponse(status: 200, fields: [("content-type", "application/json")], body: json))
      },
      page.with { _ in
        .response(
          HTTPResponse(
            status: 200,
            fields: [
              ("content-type", "text/html; charset=utf-8"),
              ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'"),
            ], body: html))
      },
    ]
  }
}

extension Route {
  fileprivate func with(handler: @escaping Handler) -> Route {
    Route(
      method, path, summary, access: access, body: body, takesPropertyLists: takesPropertyLists, arguments: arguments,
      parameters: parameters,
      responses: responses, handler: handler)
  }
}
