@testable import Environment
@testable import Simulation
import System
import Testing

@testable import Sim

@Suite("Stories and diagrams")
struct StoryTests {
  @Test("the times that oracles write are read back")
  func times() {
    #expect(Story.times("1.250s–2.000s ann: login → 200") == [1_250_000_000, 2_000_000_000])
    #expect(Story.times("nobody said anything for seconds") == [])
  }

  @Test("the story of a lesson has the breach, the transfers of its messages, and the faults, in order")
  func lesson() throws {
    let scenario = try Scenario.file("lessons/acknowledged-before-the-effect")
    let record = RunRecord()
    let plain = ScenarioRunner(scenario).run(seed: scenario.seed!)
    let result = ScenarioRunner(scenario).run(seed: scenario.seed!, RunOptions { record.note($0) })
    #expect(result.hash == plain.hash)
    let story = Story(try #require(result.violations.first), record)
    let times = story.sentences.map(\.at)
    #expect(times == times.sorted())
    #expect(story.sentences.contains { $0.isEvidence })
    for words in ["ann → chat: ", "chat → broker: ", "broker → manager: ", "manager crashes (power)"] {
      #expect(story.text.contains(words), "\(words)")
    }
    let page = DiagramPage.text(scenario, seed: result.seed, story, nil, record)
    #expect(page.contains("<svg") && page.contains("USER_MESSAGE") && !page.contains("<script src"))
    // The text of a message never ends the script of the page.
    #expect(page.components(separatedBy: "</script>").count == 3)
  }

  private static let lessons = [
    "a-list-beside-a-dictionary", "a-room-remembered", "a-session-believed-for-ever", "a-task-for-each-message",
    "acknowledged-before-the-effect", "checked-then-set", "client-id-in-two-steps", "confirmed-before-written",
    "dropped-on-any-disconnect", "dropped-on-upgrade", "emitted-before-stored", "emitted-in-arrival-order",
    "forgotten-with-the-client", "offline-with-any-socket",
  ]

  @Test("an arrow is lost only if it never arrives", arguments: lessons)
  func arrows(lesson: String) throws {
    let scenario = try Scenario.file("lessons/\(lesson)")
    let record = RunRecord()
    var counts: [Trace.Kind: Int] = [:]
    _ = ScenarioRunner(scenario).run(
      seed: try #require(scenario.seed),
      RunOptions { event in
        record.note(event)
        counts[event.kind, default: 0] += 1
      })
    let (sends, arrivals, lost) = (counts[.send] ?? 0, counts[.arrive] ?? 0, counts[.lost] ?? 0)
    #expect(record.omitted == 0 && record.arrows.count == sends && arrivals > 0)
    #expect(record.arrows.count { $0.arrivedAt == nil } == sends - arrivals)
    #expect(record.arrows.count { $0.isLost } == lost)
    // No message arrives before it is sent.
    #expect(record.arrows.allSatisfy { $0.arrivedAt.map { [sent = $0.sentAt] in $0 >= sent } ?? true })
  }

  @Test("events survive a round trip through JSON")
  func events() throws {
    let scenario = try Scenario.file("lessons/dropped-on-any-disconnect").shortened(to: .milliseconds(400))
    let (here, there) = (RunRecord(), RunRecord())
    _ = ScenarioRunner(scenario).run(
      seed: 1,
      RunOptions { event in
        here.note(event)
        let back = TraceEvent(json: event.wholeJSON)
        #expect(back?.wholeJSON == event.wholeJSON)
        if let back { there.note(back) }
      })
    #expect(here.arrows.count > 100 && here.lastAt == there.lastAt)
    let pages = [here, there].map { DiagramPage.text(scenario, seed: 1, nil, nil, $0) }
    #expect(pages[0] == pages[1])
  }

  @Test(
    "the moment of the break has what happened in its millisecond, and a promise about the end has the story's span")
  func moments() {
    let record = RunRecord()
    func story(_ oracle: String, _ events: [String]) -> Story {
      Story(Violation(oracle: oracle, promise: "p", events: events), record)
    }
    let broken = story("relayed", ["1.204s ann heard", "and 1.306s"])
    #expect(broken.brokenAt == 1_306_999_999)
    #expect(broken.span == 1_204_000_000...1_306_000_000)
    let atEnd = story("staffed", ["cora has nobody"])
    #expect(atEnd.brokenAt == nil && atEnd.span == nil)
  }

  @Test("the story of a failing `live` has the last actions of the users that were not served")
  func live() throws {
    let text = """
      { name: 'live', run: '5s', grace: '1s', topology: { chat: 1 },
        people: [{ name: 'ann', role: 'chat', count: 3, thinkTime: '400ms', rest: '20s' }],
        faults: [{ at: '3s', crash: 'chat', restartAfter: '10s' }] }
      """
    let scenario = try Scenario(parsing: Array(text.utf8), file: "f")
    let record = RunRecord()
    let result = ScenarioRunner(scenario).run(seed: 1, RunOptions { record.note($0) })
    let violation = try #require(result.violations.first { $0.oracle == "live" })
    let story = Story(violation, record, acts: result.acts)
    let told = story.sentences.filter { !$0.isEvidence }
    #expect(told.contains { $0.text.contains("chat crashes") } && told.contains { $0.text.contains("→ chat: ") })
    #expect(try #require(story.span).upperBound <= record.lastAt)
  }

  @Test("the report of a process that died has its error and the frames of its backtrace")
  func trap() {
    let said = """
      System/PlantedBugs.swift:6: Fatal error: planted

      *** Program crashed: Illegal instruction at 0x00007f308dcf9361 ***

      Thread 0 "parley" crashed:

      0                  0x00007f308dcf9361 _assertionFailure(_:) + 225 in libswiftCore.so
      1 [ra]             0x0000556690dbcbf8 UserService.misbehave() + 663 in parley at /x/PlantedBugs.swift:6:79

          4│   func misbehave() {
      """
    let lines = said.split(separator: "\n").map(String.init)
    #expect(
      Violation.death(at: 1_022_400_000, saying: lines).events == [
        "1.022s the process dies", "System/PlantedBugs.swift:6: Fatal error: planted",
        "*** Program crashed: Illegal instruction at 0x00007f308dcf9361 ***",
        "0 _assertionFailure(_:) + 225 in libswiftCore.so",
        "1 [ra] UserService.misbehave() + 663 in parley at /x/PlantedBugs.swift:6:79",
      ])
  }
}
