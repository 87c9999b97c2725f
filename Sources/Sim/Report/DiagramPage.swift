import System

/// A run as a space-time diagram (Lamport 1978) on one page without external assets: a lane for
/// each node, messages as arrows, and marks for faults and failures.
public enum DiagramPage {
  /// The most messages on the page. Of a longer run it shows the last ones before the breach.
  private static let mostArrows = 6000

  /// The page for a run, with its story if it broke a promise.
  /// `likelihood` is the chance that the promise is broken, over the run.
  public static func text(
    _ scenario: Scenario, seed: UInt64, _ story: Story?, _ likelihood: Likelihood?, _ record: RunRecord
  ) -> String {
    let moment = likelihood.flatMap { DecidingMoment($0, record) }
    let data = JSONValue.object((data(scenario, story, record).members ?? []) + chances(likelihood, moment, record))
      .text.replacing("</", with: "<\\/")
    let told =
      story.map { "<pre id=\"story\">\(HTML.escape($0.text))</pre>" } ?? "<p>No promise was broken in this run.</p>"
    return """
      <!doctype html>
      <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
      <title>\(HTML.escape(scenario.name)), seed \(seed)</title>
      <style>\(DiagramScript.style)</style></head><body>
      <header><h1>\(HTML.escape(scenario.name))</h1><p>seed \(seed)</p></header>
      <details open><summary>The story</summary>\(told)</details>
      \(moment.map { "<pre id=\"decided\">\(HTML.escape($0.text))</pre>" } ?? "")
      <nav>
      <label>Show only <input id="filter" type="search" placeholder="a word in a message, or a node"></label>
      <label><input id="quiet" type="checkbox" checked> without heartbeats and parts</label>
      <button id="out" type="button">Zoom out</button><button id="in" type="button">Zoom in</button>
      <button id="whole" type="button">The whole run</button>
      <button id="break" type="button">To the break</button>
      <span id="omitted"></span>
      </nav>
      <div id="frame" tabindex="0" role="group" aria-label="space-time diagram" aria-describedby="keys">
      <svg id="diagram" aria-hidden="true"></svg></div>
      \(DiagramLegend.text)
      <label class="slider"><span id="clock"></span><input id="time" type="range" min="0" max="100000" value="0"></label>
      <main><section><h2>The chosen message</h2><pre id="detail" aria-live="polite">Click on an arrow or a mark, or press n.</pre></section>
      <section><h2>At this moment</h2><div id="state"></div></section></main>
      <script type="application/json" id="data">\(data)</script>
      <script>\(DiagramScript.script)</script>
      </body></html>
      """
  }

  /// The points of the chance of failing: microseconds, the chance, and the number of continuations.
  private static func chances(
    _ likelihood: Likelihood?, _ moment: DecidingMoment?, _ record: RunRecord
  ) -> [JSONValue.Member] {
    let points = (likelihood?.points ?? []).map { point in
      JSONValue.array([
        .int(record.time(ofStep: point.step) / 1000), .double(point.chance), .int(Int64(point.runs)),
        .int(Int64(point.step)),
      ])
    }
    return [
      .init("chances", .array(points)),
      .init("decided", moment.map { .array([.int($0.at / 1000), .string($0.text)]) } ?? .null),
    ]
  }

  private static func data(_ scenario: Scenario, _ story: Story?, _ record: RunRecord) -> JSONValue {
    let end = story?.brokenAt ?? .max
    let before = record.arrows.filter { $0.sentAt <= end }.suffix(mostArrows)
    let after = record.arrows.drop { $0.sentAt <= end }.prefix(mostArrows - before.count)
    let omitted = record.omitted + record.arrows.count - before.count - after.count
    let lanes = scenario.peopleNames + scenario.serviceNodes
    let more = record.nodes.filter { !lanes.contains($0) }
    return [
      "lanes": .array((lanes + more).map { .string($0) }),
      "broken": story?.brokenAt.map { .int($0 / 1000) } ?? .null,
      "span": story?.span.map { [.int($0.lowerBound / 1000), .int($0.upperBound / 1000)] } ?? .null,
      "evidence": .array(
        (story?.sentences ?? []).filter { $0.isEvidence && $0.at != .max }.map {
          [.int($0.at / 1000), .string($0.text)]
        }),
      "omitted": .int(Int64(omitted)),
      "arrows": .array((Array(before) + Array(after)).map(arrow)),
      "marks": .array(
        record.marks.map { [.int($0.at / 1000), .string($0.node), .string("\($0.kind)"), .string($0.text)] }),
      "states": .array(
        record.states.map { [.int($0.at / 1000), .string($0.group), .string($0.subject), .string($0.value)] }),
    ]
  }

  /// An arrow with times in microseconds, the texts of its complete messages, and whether it is
  /// lost.
  private static func arrow(_ arrow: RunRecord.Arrow) -> JSONValue {
    [
      .int(arrow.sentAt / 1000), arrow.arrivedAt.map { .int($0 / 1000) } ?? .null, .string(arrow.from),
      .string(arrow.to), .int(Int64(arrow.connection)), .int(Int64(arrow.size)),
      .array(arrow.messages.map { [.string($0.layer), .string($0.summary), .string($0.detail)] }),
      .bool(arrow.isLost),
    ]
  }
}
