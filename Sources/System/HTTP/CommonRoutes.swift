/// The routes that every HTTP service has.
enum CommonRoutes {
  /// A file of a page that is embedded in the binary. Its content security policy forbids other
  /// hosts and inline scripts and styles.
  static func asset(_ path: String, _ type: String, _ text: String) -> Route {
    let policy =
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    let response = HTTPResponse(
      status: 200,
      fields: [
        ("content-type", "\(type); charset=utf-8"), ("content-security-policy", policy),
        ("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer"), ("cache-control", "no-cache"),
      ], body: Array(text.utf8))
    let answer = Route.Response(200, "The file", .string(), contentType: "\(type); charset=utf-8")
    return Route("GET", path, "A file of a page", responses: [answer]) { _ in .response(response) }
  }

  /// `/health`. `check` returns the message of a 200, or throws the 503.
  static func health(_ unavailable: Route.Response, check: @escaping @Sendable () async throws -> String) -> Route {
    Route(
      "GET", "/health", "Check the health of the service",
      responses: [
        .init(200, "The service is healthy", .object([.init("status", .string()), .init("message", .string())])),
        unavailable,
      ]
    ) { _ in .json(["status": "healthy", "message": .string(try await check())]) }
  }

  /// Adds `/openapi.json`, `/docs` and `/metrics` to `routes`, and `/asyncapi.json` for a service
  /// with events or queues. Each document is made at the first request for it. `read` reads the
  /// metrics that `metrics` does not count.
  static func adding(
    to routes: [Route], service: ServiceDescription, metrics: Metrics, reading read: @escaping MetricReader
  ) -> [Route] {
    let text = Schema.string()
    let common = [
      Route(
        "GET", "/metrics", "Counters for Prometheus", access: .service,
        responses: [.init(200, "The counters", text, contentType: "text/plain; version=0.0.4")]
      ) { _ in
        let text = metrics.text(with: await read())
        return .response(
          HTTPResponse(status: 200, fields: [("content-type", "text/plain; version=0.0.4")], body: Array(text.utf8)))
      }
    ]
    var documents = [
      Route(
        "GET", "/openapi.json", "This service's OpenAPI 3.1 document", responses: [.init(200, "The document", .any)]
      ) { _ in .json(.null) },
      Route(
        "GET", "/docs", "This service's documentation",
        responses: [.init(200, "A page", text, contentType: "text/html; charset=utf-8")]
      ) { _ in .json(.null) },
    ]
    if !service.messages.isEmpty {
      documents.append(
        Route(
          "GET", "/asyncapi.json", "This service's AsyncAPI 3.0 document",
          responses: [.init(200, "The document", .any)]
        ) { _ in .json(.null) })
    }
    let all = routes + common + documents
    let made = LazyDocuments(APIDocument(service: service, routes: all))
    let handlers: [Route.Handler] = [
      { _ in .json(body: made.openAPI) }, { made.page(for: $0.request) }, { _ in .json(body: made.asyncAPI) },
    ]
    return routes + common + zip(documents, handlers).map { $0.with(handler: $1) }
  }
}

extension Schema.Field {
  /// The field of operators' requests that are only to be tried.
  static let dryRun = Schema.Field("dry_run", .boolean, isRequired: false, "answer as usual, and change nothing")
}

/// The documents, made on first use. Used on the server's executor only.
private final class LazyDocuments: @unchecked Sendable {
  private let document: APIDocument
  private(set) lazy var openAPI = document.json.bytes
  private(set) lazy var asyncAPI = AsyncAPIDocument(
    service: document.service, tables: document.service.messages
  ).json.bytes
  private lazy var parts = DocumentationPage(document: document, messages: document.service.messages).parts

  init(_ document: APIDocument) { self.document = document }

  /// The page. Its example commands use the host by which the client reached the service.
  func page(for request: HTTPRequest) -> Reply {
    let fields = [
      (name: "content-type", value: "text/html; charset=utf-8"),
      (name: "content-security-policy", value: "default-src 'none'; style-src 'unsafe-inline'"),
    ]
    let host = HTML.escape(DocumentationPage.host(request.fields["host"]))
    return .response(HTTPResponse(status: 200, fields: fields, body: Array(parts.joined(separator: host).utf8)))
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
