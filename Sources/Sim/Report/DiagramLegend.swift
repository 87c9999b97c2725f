/// The legend of a space-time diagram: its signs and its keys.
enum DiagramLegend {
  private static let signs = [
    (line("arrow"), "a message"), (line("arrow bundle"), "a request with all that follows it: click to open it"),
    (line("arrow bundle back"), "its last answer"), (line("arrow part"), "a part of a message"),
    (line("arrow lost"), "never arrives"),
    (line("arrow open"), "not arrived when the run ends"), (dot("fault"), "a fault, a crash, a reset"),
    (dot("boot"), "a start, a repair"),
    (dot("log"), "a line of a log"),
    ("<rect class=\"sync\" x=\"12\" y=\"3\" width=\"4\" height=\"8\"/>", "a sync of a disk"),
    (line("down"), "the node is down"), (line("still"), "the node is paused"),
    (line("evidence"), "an event that breaks the promise"), (line("now"), "the time that is shown below"),
    (line("chance"), "the chance of failing, by continuations of the run"), (line("decided"), "where it rises most"),
  ]

  private static func line(_ kind: String) -> String {
    "<line class=\"\(kind)\" x1=\"1\" y1=\"7\" x2=\"27\" y2=\"7\"/>"
  }

  private static func dot(_ kind: String) -> String { "<circle class=\"\(kind)\" cx=\"14\" cy=\"7\" r=\"5\"/>" }

  static var text: String {
    let entries = signs.map { sign, meaning in
      "<li><svg width=\"28\" height=\"14\" aria-hidden=\"true\">\(sign)</svg>\(meaning)</li>"
    }
    return """
      <ul id="legend" aria-label="legend">\(entries.joined())</ul>
      <p id="keys"><kbd>←</kbd> <kbd>→</kbd> move, <kbd>+</kbd> <kbd>−</kbd> zoom, <kbd>n</kbd> <kbd>p</kbd> next and previous message,
      <kbd>b</kbd> to the break, <kbd>w</kbd> the whole run, <kbd>.</kbd> <kbd>,</kbd> step forward and back, <kbd>]</kbd> <kbd>[</kbd> next and
      last event of the node, <kbd>l</kbd> next lost message, <kbd>g</kbd> to a time.</p>
      """
  }
}
