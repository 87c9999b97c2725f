/// The page at `/console`, served from the binary.
enum ConsolePage {
  static let routes: [Route] = [
    CommonRoutes.asset("/console", "text/html", ConsoleText.page),
    CommonRoutes.asset("/console.js", "text/javascript", ConsoleText.script),
    CommonRoutes.asset("/console.css", "text/css", ConsoleText.style),
  ]
}
