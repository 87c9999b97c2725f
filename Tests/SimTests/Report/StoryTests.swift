import System
import Testing

@testable import Sim

@Suite("Stories and diagrams")
struct StoryTests {
  @Test("times are read as oracles write them")
  func times() {
    #expect(Story.times("1.250s–2.000s ann: login → 200") == [1_250_000_000, 2_000_000_000])
    #expect(Story.times("nobody said anything for seconds") == [])
  }

  @Test("the story of a lesson has the evidence, what carried its words, and what went wrong, in order")
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
    for words in ["ann tells chat", "chat tells broker", "broker tells manager", "manager dies (power)"] {
      #expect(story.text.contains(words), "\(words)")
    }
    let page = DiagramPage.text(scenario, seed: result.seed, story, record)
    #expect(page.contains("<svg") && page.contains("USER_MESSAGE") && !page.contains("<script src"))
    // What a message says never ends the script that carries it.
    #expect(page.components(separatedBy: "</script>").count == 3)
  }
}
