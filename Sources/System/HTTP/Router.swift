/// The route table, by path and method.
struct Router: Sendable {
  /// A class, so that a match does not copy the route.
  final class Entry: Sendable {
    let route: Route
    /// The index of the route in the metrics.
    let index: Int

    init(_ route: Route, _ index: Int) {
      self.route = route
      self.index = index
    }
  }

  enum Match: Sendable {
    case found(Entry)
    case methodNotAllowed(allow: String)
    case notFound
  }

  let routes: [Route]
  private let byPath: [String: [Entry]]

  init(_ routes: [Route]) {
    self.routes = routes
    byPath = Dictionary(
      grouping: routes.enumerated().map { Entry($0.element, $0.offset) }, by: { $0.route.path })
  }

  /// GET routes answer HEAD as well (RFC 9110 §9.3.2).
  func match(_ method: String, _ path: String) -> Match {
    guard let entries = byPath[path] else { return .notFound }
    let wanted = method == "HEAD" ? "GET" : method
    if let entry = entries.first(where: { $0.route.method == wanted }) { return .found(entry) }
    return .methodNotAllowed(allow: allow(entries))
  }

  /// Whether a path is for services or operators only. Responses to them carry no CORS fields: no
  /// web page may read them.
  func isForServices(_ path: String) -> Bool {
    byPath[path]?.contains { $0.route.access.excludesPages } ?? false
  }

  /// The value of `Allow` for a path, or nil for an unknown path. `*` means the server as a whole.
  func allow(_ path: String) -> String? {
    if path == "*" { return "GET, HEAD, POST, PUT, DELETE, OPTIONS" }
    return byPath[path].map(allow)
  }

  private func allow(_ entries: [Entry]) -> String {
    var methods = entries.map(\.route.method)
    if methods.contains("GET") { methods.append("HEAD") }
    return (methods + ["OPTIONS"]).joined(separator: ", ")
  }
}
