import System

/// A run as a space-time diagram (Lamport 1978) on one page without external assets: a lane for
/// each node, messages as arrows, and marks for faults and failures. It steps through the run: a
/// page in a file through the recorded events, a page of a server through all jobs.
public enum DiagramPage {
  /// The most messages on the page. Of a longer run it shows the last ones before the breach.
  private static let mostArrows = 6000

  /// A run on a server, which runs it again for each step that is looked at.
  public struct Live {
    /// The number of the run.
    public var run: Int
    /// The number of its steps.
    public var steps: Int
    /// All runs: their titles, and whether they kept their promises.
    public var runs: [(title: String, verdict: String)]
    /// What is different from the run of which this one is a branch.
    public var changes: String?
    /// The nonce of the page's content security policy.
    public var nonce: String

    /// Makes the description of a run.
    public init(
      run: Int, steps: Int, runs: [(title: String, verdict: String)], changes: String?, nonce: String
    ) {
      (self.run, self.steps, self.runs, self.changes, self.nonce) = (run, steps, runs, changes, nonce)
    }

    fileprivate var json: JSONValue {
      [
        "run": .int(Int64(run)),
        "runs": .array(runs.map { [.string($0.title), .string($0.verdict)] }),
        "faults": .array(FaultHere.allCases.map { [.string($0.rawValue), .string($0.title)] }),
      ]
    }
  }

  /// The page for a run, with its story if it broke a promise.
  /// `estimate` is the chance that the promise is broken, over the run.
  public static func text(
    _ scenario: Scenario, seed: UInt64, _ story: Story?, _ estimate: Estimate?, _ record: RunRecord, live: Live? = nil
  ) -> String {
    let members = (data(scenario, story, record).members ?? []) + chances(estimate, record)
    let more = JSONValue.object(
      members + [
        .init("live", live?.json ?? .null), .init("steps", live.map { .int(Int64($0.steps)) } ?? .null),
      ])
    let data = more.text.replacing("</", with: "<\\/")
    let told =
      story.map { "<pre id=\"story\">\(HTML.escape($0.text))</pre>" } ?? "<p>No promise was broken in this run.</p>"
    let moment = (estimate?.moment).map { "<pre id=\"decided\">\(HTML.escape($0.text))</pre>" } ?? ""
    let changes = (live?.changes).map {
      "<details open><summary>What is different</summary><pre id=\"changes\">\(HTML.escape($0))</pre></details>"
    }
    let nonce = live.map { " nonce=\"\($0.nonce)\"" } ?? ""
    return """
      <!doctype html>
      <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
      <title>\(HTML.escape(scenario.name)), seed \(seed)</title>
      <style\(nonce)>\(DiagramStyle.text)</style></head><body>
      <header><h1>\(HTML.escape(scenario.name))</h1><p>seed \(seed)</p></header>
      <details open><summary>The story</summary>\(told)</details>
      \(changes ?? "")\(moment)
      \(controls)
      <div id="frame" tabindex="0" role="group" aria-label="space-time diagram" aria-describedby="keys">
      <svg id="diagram" aria-hidden="true"></svg></div>
      <label class="slider"><span id="clock"></span><input id="time" type="range" min="0" max="100000" value="0"></label>
      \(steps)
      <main><section><h2>The chosen message</h2><pre id="detail" aria-live="polite">Click on an arrow or a mark, or press n.</pre></section>
      <section><h2>At this moment</h2><div id="state"></div></section></main>
      \(alive)
      \(DiagramLegend.text)
      <script type="application/json" id="data">\(data)</script>
      <script\(nonce)>\(script)</script>
      </body></html>
      """
  }

  private static let script = [
    DiagramScript.drawing, DiagramScript.messages, DiagramSteps.moving, DiagramSteps.steps, DiagramLive.script,
    DiagramSteps.keyboard,
  ].joined(separator: "\n\n")

  private static let controls = """
    <nav aria-label="view">
    <label>Show only <input id="filter" type="search" placeholder="a word in a message, or a node"></label>
    <label><input id="quiet" type="checkbox" checked> without heartbeats and parts</label>
    <label><input id="bundled" type="checkbox" checked> one arrow for a request</label>
    <label><input id="every" type="checkbox"> all lanes</label>
    <button id="out" type="button">Zoom out</button><button id="in" type="button">Zoom in</button>
    <button id="whole" type="button">The whole run</button>
    <button id="break" type="button">To the break</button>
    <button id="lost" type="button">Next lost message</button>
    <span id="omitted"></span>
    </nav>
    """

  private static let steps = """
    <section class="steps" aria-label="steps">
    <p id="here" aria-live="polite"></p>
    <nav aria-label="steps">
    <button id="back" type="button">Step back</button><button id="forward" type="button">Step forward</button>
    <label>Node <select id="node"><option value="">any</option></select></label>
    <button id="lastEvent" type="button">Last event</button><button id="nextEvent" type="button">Next event</button>
    <form id="go"><label>Time <input id="when" inputmode="decimal" placeholder="1.200"> s</label> <button>Go</button></form>
    </nav>
    <ol id="near" class="plain" aria-label="events around this step"></ol>
    <p id="trouble" role="alert"></p>
    </section>
    """

  private static let alive = """
    <div id="alive" hidden>
    <h2>May run next</h2><ol id="jobs" class="plain"></ol>
    <form id="strike"><label>Strike a fault here: <select id="faultNode" aria-label="node"></select></label>
    <select id="faultKind" aria-label="fault"></select> <button>Strike</button></form>
    <h2>Runs</h2><ol id="runs" class="plain"></ol>
    <h2>Nodes</h2><div id="nodes"></div>
    <h2>Connections</h2><div class="wide"><table id="connections"></table></div>
    </div>
    """

  /// The points of the chance of failing: microseconds, the chance, and the number of
  /// continuations.
  private static func chances(
    _ estimate: Estimate?, _ record: RunRecord
  ) -> [JSONValue.Member] {
    let points = (estimate?.likelihood.points ?? []).map { point in
      JSONValue.array([
        .int(record.time(ofStep: point.step) / 1000), .double(point.chance), .int(Int64(point.runs)),
        .int(Int64(point.step)),
      ])
    }
    return [
      .init("chances", .array(points)),
      .init("decided", (estimate?.moment).map { .array([.int($0.at / 1000), .string($0.text)]) } ?? .null),
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
      "cast": .array((story?.nodes(among: lanes + more) ?? []).map { .string($0) }),
      "broken": story?.brokenAt.map { .int($0 / 1000) } ?? .null,
      "span": story?.span.map { [.int($0.lowerBound / 1000), .int($0.upperBound / 1000)] } ?? .null,
      "evidence": .array(
        (story?.sentences ?? []).filter { $0.isEvidence && $0.at != .max }.map {
          [.int($0.at / 1000), .string($0.text)]
        }),
      "omitted": .int(Int64(omitted)),
      "arrows": .array((Array(before) + Array(after)).map(arrow)),
      "marks": .array(
        record.marks.map {
          [.int($0.at / 1000), .string($0.node), .string("\($0.kind)"), .string($0.text), .int(Int64($0.step))]
        }),
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
      .bool(arrow.isLost), .int(Int64(arrow.sentStep)), arrow.arrivedStep.map { .int(Int64($0)) } ?? .null,
    ]
  }
}
