import Sim
import System

/// The summary of a search as one page without external resources: failures, progress over time,
/// and the order in which events met.
enum FuzzPage {
  static func text(_ samples: [FuzzSample], _ coverage: FuzzCoverage, _ failures: [FuzzFailure]) -> String {
    """
    <!doctype html>
    <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
    <title>parley fuzz</title>
    <style>
    body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
    h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
    svg { width: 100%; height: 11rem; background: #fafafa; border: 1px solid #ddd; }
    .plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem; }
    table.matrix { border-collapse: collapse; font-size: 10px; display: block; overflow: auto; max-height: 40rem; }
    .matrix th { font-weight: normal; text-align: right; white-space: nowrap; position: sticky; left: 0; background: #fff; }
    .matrix thead th { writing-mode: vertical-rl; text-align: left; position: sticky; top: 0; }
    .matrix td { min-width: 11px; height: 11px; border: 1px solid #eee; }
    td.both { background: #2b7a4b; } td.only { background: #e0a526; } td.missing { background: #f4d9d6; }
    pre { background: #f6f6f6; padding: .75rem; overflow: auto; font-size: 12px; }
    </style></head><body>
    <h1>parley fuzz</h1>
    <p>\(summary(samples.last))</p>
    <h2>Failures</h2>
    \(failures.isEmpty ? "<p>None.</p>" : failures.map(failure).joined())
    <h2>Over time</h2>
    <div class="plots">
    \(plot("scenarios", samples.map { ($0.seconds, Double($0.runs)) }))
    \(plot("orderings seen", samples.map { ($0.seconds, Double($0.orderings)) }))
    \(plot("simulated seconds", samples.map { ($0.seconds, $0.simulated) }))
    \(plot("failures", samples.map { ($0.seconds, Double($0.failures)) }))
    </div>
    <h2>Orders of events</h2>
    <p>A row's event, and soon after it a column's. <b style="color:#2b7a4b">Green</b>: seen, and the other way round too.
    <b style="color:#b07d0c">Amber</b>: seen only this way. <b style="color:#c0605a">Red</b>: seen only in the reverse order.</p>
    \(matrix(coverage))
    </body></html>
    """
  }

  private static func summary(_ last: FuzzSample?) -> String {
    guard let last else { return "No scenario was run." }
    let rate = (Double(last.runs) / max(last.seconds, 0.001) * 10).rounded() / 10
    return
      "\(last.runs) scenarios in \(Int(last.seconds)) s, \(rate) a second; \(Int(last.simulated)) s simulated; \(last.failures) failed."
  }

  private static func failure(_ failure: FuzzFailure) -> String {
    """
    <h3>\(HTML.escape(failure.broken.oracle))</h3>
    <p>\(HTML.escape(failure.broken.promise)). Shrunk from \(failure.stepsBefore) to \(failure.broken.run.steps) steps,
    \(failure.deedsBefore) to \(failure.broken.run.deeds) actions and faults.
    Replay: <code>\(HTML.escape(Command.program)) simulate \(HTML.escape(failure.file))</code></p><pre>\(HTML.escape(failure.text))</pre>
    """
  }

  /// A line chart over time.
  private static func plot(_ title: String, _ points: [(x: Double, y: Double)]) -> String {
    let (width, height) = (400.0, 140.0)
    let right = max(points.last?.x ?? 1, 0.001)
    let top = max(points.map(\.y).max() ?? 1, 1)
    let line = points.map { "\(Int($0.x / right * width)),\(Int(height - $0.y / top * (height - 10)))" }
    return """
      <figure><figcaption>\(title): \(Int(points.last?.y ?? 0))</figcaption>
      <svg viewBox="0 0 400 150" preserveAspectRatio="none"><polyline fill="none" stroke="#2456a6" stroke-width="2" vector-effect="non-scaling-stroke" points="\(line.joined(separator: " "))"/></svg></figure>
      """
  }

  private static func matrix(_ coverage: FuzzCoverage) -> String {
    let labels = Set(coverage.pairs.keys.flatMap { [$0.first, $0.then] }).sorted()
    let rows = labels.map { row in
      let cells = labels.map { column -> String in
        let pair = Orderings.Pair(row, column)
        let seen = coverage.pairs[pair]
        let other = coverage.pairs[pair.reversed]
        let kind = seen != nil ? (other != nil ? "both" : "only") : other != nil ? "missing" : ""
        let title = "\(row), \(column): \(seen ?? 0) runs"
        return kind.isEmpty ? "<td></td>" : "<td class=\"\(kind)\" title=\"\(HTML.escape(title))\"></td>"
      }
      return "<tr><th>\(HTML.escape(row))</th>\(cells.joined())</tr>"
    }
    let head = labels.map { "<th>\(HTML.escape($0))</th>" }.joined()
    return
      "<table class=\"matrix\"><thead><tr><th></th>\(head)</tr></thead><tbody>\(rows.joined(separator: "\n"))</tbody></table>"
  }
}
