/// The page at `/console`, out of the binary: no assets from elsewhere, and no script or style inside the page.
enum ConsolePage {
  static let routes: [Route] = [
    asset("/console", "text/html; charset=utf-8", ConsoleText.page),
    asset("/console.js", "text/javascript; charset=utf-8", ConsoleText.script),
    asset("/console.css", "text/css; charset=utf-8", ConsoleText.style),
  ]

  /// Nothing from anywhere but here.
  private static let policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

  private static func asset(_ path: String, _ type: String, _ text: String) -> Route {
    let response = HTTPResponse(
      status: 200,
      fields: [
        ("content-type", type), ("content-security-policy", policy), ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"), ("cache-control", "no-cache"),
      ], body: Array(text.utf8))
    return Route("GET", path, "The console", responses: []) { _ in .response(response) }
  }
}
