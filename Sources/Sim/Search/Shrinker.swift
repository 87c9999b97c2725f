import System

/// Makes a failing scenario small, as long as the same oracle still fails.
///
/// First leaps: scenarios so much smaller that the luck of the run at hand is lost, with other seeds to have it again. Then
/// the file, the largest steps first (delta debugging: Zeller and Hildebrandt, 2002): a shorter run, fewer faults, people, actions.
/// Then chance gives way to exact steps: what people did and which faults struck is written out as a script, and the script is cut
/// down. Last, what is left to chance becomes simple: stream by stream of the run's choices, all draws but those of a window take their
/// simplest value (as internal reduction does: MacIver and Donaldson, ECOOP 2020).
public struct Shrinker {
  /// A run that failed.
  public struct Failing {
    /// The scenario.
    public let scenario: JSONValue
    /// The run, with the seed with which it fails.
    public let run: RunResult

    /// Makes one.
    public init(scenario: JSONValue, run: RunResult) {
      self.scenario = scenario
      self.run = run
    }
  }

  /// Something to try: a scenario with a few seeds.
  public struct Candidate {
    /// The scenario.
    public let scenario: JSONValue
    /// The seeds to try.
    public let seeds: ClosedRange<UInt64>
    /// A run of more steps is no gain.
    public let maximumSteps: Int
  }

  /// Tries candidates, some at once, and returns the first that fails as it should, by its place.
  public typealias Trial = (ArraySlice<Candidate>) -> (index: Int, Failing)?

  /// The smallest so far.
  public private(set) var best: Failing
  /// Candidates that were tried.
  public private(set) var tried = 0
  /// Seeds that are tried where the one at hand does not do, since another scenario is another run: while runs are long, once they are
  /// short, and where luck is what is left. A few with each candidate, then a few more.
  private static let (fewSeeds, someSeeds, manySeeds): (UInt64, UInt64, UInt64) = (4, 16, 64)
  private static let seedsAtOnce = 8
  /// What share of the steps another seed for the same scenario has to save.
  private static let saving = 20
  /// How long it is enough to see that somebody who is never served is not served.
  private static let shortGrace: Duration = .seconds(60)
  private let trial: Trial
  private let isOver: () -> Bool
  private let oracle: String
  /// The fewest steps of what was the best.
  private var fewestSteps: Int

  /// Begins with a scenario that fails. Shrinks until nothing smaller fails, or until `isOver` says so: what was found until then stays.
  public init(_ failing: Failing, oracle: String, isOver: @escaping () -> Bool, trial: @escaping Trial) {
    best = failing
    self.oracle = oracle
    fewestSteps = failing.run.steps
    self.trial = trial
    self.isOver = isOver
  }

  /// Shrinks the scenario, writes chance out, shrinks what that is, then its choices.
  public mutating func run() {
    let whole = best
    // Each try is cheap then.
    endSooner()
    let isHasty = best.scenario != whole.scenario
    shrink()
    if isHasty, !lasts() {
      best = whole
      fewestSteps = whole.run.steps
      shrink()
    }
    endSooner()
    if Oracle.immediate.contains(oracle) { endAtOnce() }
  }

  private mutating func shrink() {
    _ = attempt(best.scenario.plainerSchedules, seeds: Self.manySeeds)
    while attempt(best.scenario.leaps, seeds: Self.someSeeds) != nil {}
    shrinkWidely(seeds: Self.fewSeeds)
    writeOut(people: true)
    writeOut(people: false)
    shrinkWidely(seeds: Self.manySeeds)
    while shorten() {}
    shrinkChoices()
  }

  /// Streams of choices belong to components, so that most changes leave the rest of a run as it was. Not all: those are tried with other seeds.
  private mutating func shrinkWidely(seeds: UInt64) {
    repeat {
      shrinkScenario()
    } while attempt(restless(best.scenario) + best.scenario.smallerWithLuck, seeds: seeds) != nil
  }

  /// Tries candidates with the seed at hand or, where `seeds` says so, with as many after it. The place of the first that fails, which is
  /// the best then; nil when none does. `most` is how many steps it may take; what `isLast` is tried even when the time is over.
  private mutating func attempt(
    _ scenarios: [JSONValue], seeds: UInt64 = 0, most: Int? = nil, isLast: Bool = false
  ) -> Int? {
    guard !scenarios.isEmpty, isLast || !isOver() else { return nil }
    let seed = best.run.seed
    // What is smaller may take a few steps more, by another turn of luck; not again and again.
    let most = most ?? fewestSteps + fewestSteps / 8
    let parts =
      seeds == 0
      ? [seed...seed]
      : stride(from: 0, to: seeds, by: Self.seedsAtOnce).map {
        seed + 1 + $0...seed + min(seeds, $0 + UInt64(Self.seedsAtOnce))
      }
    let candidates = parts.flatMap { part in
      scenarios.map { Candidate(scenario: $0, seeds: part, maximumSteps: most) }
    }
    guard let (index, failing) = trial(candidates[...]) else {
      tried += candidates.count
      return nil
    }
    tried += index + 1
    best = failing
    fewestSteps = min(fewestSteps, failing.run.steps)
    return index % scenarios.count
  }

  /// The same scenario with a seed that shows the failure in fewer steps.
  private mutating func shorten() -> Bool {
    let steps = best.run.steps
    // Of a run in which the process died nobody counted them.
    guard steps > 0 else { return false }
    return attempt([best.scenario], seeds: Self.manySeeds, most: steps - steps / Self.saving - 1) != nil
  }

  /// Where somebody was waited for to the end of all patience, a little of it may show the same: it is the beginning of the same run.
  private mutating func endSooner() {
    let run = best.scenario["run"]?.string.flatMap(DurationText.parse) ?? .seconds(60)
    guard best.scenario["grace"] == nil, best.run.simulated > run + Self.shortGrace else { return }
    let short = best.scenario.setting("grace", .string(DurationText.format(Self.shortGrace)))
    _ = attempt([short], most: best.run.steps, isLast: true)
  }

  /// Whether what fails after a little patience fails after all of it. That is the best then.
  private mutating func lasts() -> Bool {
    attempt([best.scenario.removing("grace")], most: .max, isLast: true) != nil
  }

  /// The run ends as soon as the promise is broken, to a fiftieth of its time: it is the beginning of the same run.
  private mutating func endAtOnce() {
    let whole = best.run.simulated
    var (before, after) = (Duration.zero, whole)
    while after - before > max(whole / 50, .milliseconds(2)), !isOver() {
      let middle = Duration.milliseconds((before + (after - before) / 2).nanoseconds / 1_000_000)
      if attempt([best.scenario.setting("end", .string(DurationText.format(middle)))]) != nil {
        after = middle
      } else {
        before = middle
      }
    }
  }

  // MARK: The file

  /// Goes round the kinds of smaller scenarios until none has one that fails: what has just been of no use is not tried again at once.
  private mutating func shrinkScenario() {
    var before: JSONValue
    repeat {
      before = best.scenario
      while attempt(restless(best.scenario)) != nil {}
      for kind in best.scenario.smallerScenarios.indices {
        while attempt(best.scenario.smallerScenarios[kind]) != nil {}
      }
      cutDown("script")
      cutDown("faults")
    } while best.scenario != before && !isOver()
  }

  /// Removes runs of elements from a list, long ones first.
  private mutating func cutDown(_ list: String) {
    // Rounded up, so that the last one is tried too.
    var part = ((best.scenario[list]?.array?.count ?? 0) + 1) / 2
    while part > 0 {
      var from = 0
      while let elements = best.scenario[list]?.array, from < elements.count, !isOver() {
        let starts = Array(stride(from: from, to: elements.count, by: part))
        let shorter = starts.map { start -> JSONValue in
          var rest = elements
          rest.removeSubrange(start..<min(start + part, elements.count))
          return best.scenario.settingList(list, rest)
        }
        guard let index = attempt(shorter) else { break }
        from = starts[index]
      }
      part /= 2
    }
  }

  /// The scenario with hardly any rest after the last action.
  private func restless(_ scenario: JSONValue) -> [JSONValue] {
    let people = scenario["people"]?.array ?? []
    guard Oracle.immediate.contains(oracle), people.contains(where: { $0["rest"] == nil }) else { return [] }
    return [scenario.setting("people", .array(people.map { $0.setting("rest", "100ms") }))]
  }

  /// What people did becomes a script, or what faults struck becomes those faults at those times.
  private mutating func writeOut(people: Bool) {
    let scenario = best.scenario
    let written = people ? scenario.scripted(as: best.run.acts) : scenario.struck(as: best.run.struck)
    guard written != scenario else { return }
    // Exact steps are worth some of the scheduler's.
    let most = 2 * best.run.steps
    if (attempt([written], most: most) ?? attempt([written], seeds: Self.manySeeds, most: most)) != nil {
      fewestSteps = best.run.steps
    }
  }

  // MARK: Choices

  private mutating func shrinkChoices() {
    // The streams that draw the most say the least each.
    for (stream, count) in best.run.draws.sorted(by: { ($0.count, $0.stream) > ($1.count, $1.stream) }) {
      if isOver() { return }
      if tryWindows([0..<0], of: stream) == nil { narrow(0..<count, of: stream) }
    }
  }

  private mutating func narrow(_ whole: Range<Int>, of stream: String) {
    var window = whole
    var part = window.count / 2
    while part > window.count / 16, !isOver() {
      let smaller = [window.lowerBound + part..<window.upperBound, window.lowerBound..<window.upperBound - part]
      if let found = tryWindows(smaller, of: stream) { window = found } else { part /= 2 }
      part = min(part, window.count / 2)
    }
  }

  /// The first of the windows with which it fails.
  private mutating func tryWindows(_ windows: [Range<Int>], of stream: String) -> Range<Int>? {
    let candidates = windows.map { window -> JSONValue in
      let choices = (best.scenario["choices"] ?? .object([]))
        .setting(stream, [.int(Int64(window.lowerBound)), .int(Int64(window.upperBound))])
      return best.scenario.setting("choices", choices)
    }
    return attempt(candidates).map { windows[$0] }
  }
}
