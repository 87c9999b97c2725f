/// One of the services, running: what both worlds start and stop.
public protocol Service: Sendable {
  /// Where it listens, by name: `users`, `chat` …
  var addresses: [(name: String, address: SocketAddress)] { get }
  /// Stops taking requests, answers those in flight, closes its database.
  func drain() async
}

/// The routes that every HTTP service has.
enum CommonRoutes {
  /// A part of a page that is served out of the binary: it may have nothing from anywhere but here, and no script or style
  /// inside.
  static func asset(_ path: String, _ type: String, _ text: String) -> Route {
    let policy =
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    let response = HTTPResponse(
      status: 200,
      fields: [
        ("content-type", "\(type); charset=utf-8"), ("content-security-policy", policy),
        ("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer"), ("cache-control", "no-cache"),
      ], body: Array(text.utf8))
    return Route("GET", path, "A page", responses: []) { _ in .response(response) }
  }

  /// `/health`; `check` says what answers, or throws the 503.
  static func health(_ unavailable: Route.Response, check: @escaping @Sendable () async throws -> String) -> Route {
    Route(
      "GET", "/health", "Whether the service can serve",
      responses: [
        .init(200, "It can", .object([.init("status", .string()), .init("message", .string())])), unavailable,
      ]
    ) { _ in .json(["status": "healthy", "message": .string(try await check())]) }
  }

  /// `/openapi.json`, `/docs` and `/metrics` beside `routes`. The document is made once, when somebody asks for it first.
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
    let api = LazyAPIDocument(APIDocument(service: service, routes: routes + common + [document, page]))
    return routes + common + [
      document.with { _ in
        .response(HTTPResponse(status: 200, fields: [("content-type", "application/json")], body: api.json))
      },
      page.with { _ in
        .response(
          HTTPResponse(
            status: 200,
            fields: [
              ("content-type", "text/html; charset=utf-8"),
              ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'"),
            ], body: api.page))
      },
    ]
  }
}

/// The bytes of the document and its page. Used on the server's executor.
private final class LazyAPIDocument: @unchecked Sendable {
  private let document: APIDocument
  private(set) lazy var json = document.json.bytes
  private(set) lazy var page = Array(document.page.utf8)

  init(_ document: APIDocument) { self.document = document }
}

extension Route {
  fileprivate func with(handler: @escaping Handler) -> Route {
    Route(
      method, path, summary, access: access, body: body, takesPropertyLists: takesPropertyLists, arguments: arguments,
      parameters: parameters,
      responses: responses, handler: handler)
  }
}
