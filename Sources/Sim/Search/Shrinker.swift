import System

/// Makes a failing scenario small, as long as the same oracle still fails.
///
/// First come leaps: much smaller scenarios, which need other seeds to fail. Then the file shrinks,
/// in the largest steps first (delta debugging: Zeller and Hildebrandt, 2002): a shorter run, fewer
/// faults, users and actions. Then random actions and faults are written out as exact steps, and
/// the script is cut down. Last, the remaining choices become simple: stream by stream, all draws
/// outside a window take their simplest value (internal reduction: MacIver and Donaldson, ECOOP
/// 2020).
public struct Shrinker {
  /// A run that failed.
  public struct Failing {
    /// The scenario.
    public let scenario: JSONValue
    /// The run, with the seed with which it fails.
    public let run: RunResult

    /// Makes a failing run.
    public init(scenario: JSONValue, run: RunResult) {
      self.scenario = scenario
      self.run = run
    }
  }

  /// A scenario to try with a few seeds.
  public struct Candidate {
    /// The scenario.
    public let scenario: JSONValue
    /// The seeds to try.
    public let seeds: ClosedRange<UInt64>
    /// A run with more steps does not count.
    public let maximumSteps: Int
  }

  /// Tries candidates, some in parallel, and returns the index and the run of the first that fails
  /// with the oracle.
  public typealias Trial = (ArraySlice<Candidate>) -> (index: Int, Failing)?

  /// The smallest failing run so far.
  public private(set) var best: Failing
  /// The number of candidates that were tried.
  public private(set) var tried = 0
  /// Numbers of other seeds to try, since a changed scenario is another run: while runs are long,
  /// for leaps, and once runs are short.
  private static let (fewSeeds, someSeeds, manySeeds): (UInt64, UInt64, UInt64) = (4, 16, 64)
  private static let seedsAtOnce = 8
  /// The inverse of the share of steps that another seed has to save.
  private static let saving = 20
  /// A grace that is long enough to see that a user is never served.
  private static let shortGrace: Duration = .seconds(60)
  private let trial: Trial
  private let isOver: () -> Bool
  private let oracle: String
  /// The fewest steps of any best run.
  private var fewestSteps: Int

  /// Makes a shrinker of a failing run. It shrinks until nothing smaller fails or `isOver` returns
  /// true, and keeps the best run so far.
  public init(_ failing: Failing, oracle: String, isOver: @escaping () -> Bool, trial: @escaping Trial) {
    best = failing
    self.oracle = oracle
    fewestSteps = failing.run.steps
    self.trial = trial
    self.isOver = isOver
  }

  /// Shrinks the failing run.
  public mutating func run() {
    let whole = best
    // That makes each attempt cheap.
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

  /// Shrinks the file with the same seed, then with others. Each component draws from its own
  /// stream, so most changes leave the rest of a run as it was; the others need another seed.
  private mutating func shrinkWidely(seeds: UInt64) {
    repeat {
      shrinkScenario()
    } while attempt(restless(best.scenario) + best.scenario.smallerWithLuck, seeds: seeds) != nil
  }

  /// Tries scenarios with the current seed, or with the `seeds` seeds after it. The first that
  /// fails becomes the best, and its index is returned; nil if none fails. `most` bounds the steps
  /// of a run. An attempt that `isLast` is made even when the time is over.
  private mutating func attempt(
    _ scenarios: [JSONValue], seeds: UInt64 = 0, most: Int? = nil, isLast: Bool = false
  ) -> Int? {
    guard !scenarios.isEmpty, isLast || !isOver() else { return nil }
    let seed = best.run.seed
    // A smaller scenario may take a few more steps, but not repeatedly.
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

  /// Looks for a seed that fails in fewer steps.
  private mutating func shorten() -> Bool {
    let steps = best.run.steps
    // The steps of a run whose process died are not known.
    guard steps > 0 else { return false }
    return attempt([best.scenario], seeds: Self.manySeeds, most: steps - steps / Self.saving - 1) != nil
  }

  /// Shortens the grace of a run that waited to its end. The shorter run is the beginning of the
  /// same run.
  private mutating func endSooner() {
    let run = best.scenario.time("run") ?? .seconds(60)
    guard best.scenario["grace"] == nil, best.run.simulated > run + Self.shortGrace else { return }
    let short = best.scenario.setting("grace", .string(DurationText.format(Self.shortGrace)))
    _ = attempt([short], most: best.run.steps, isLast: true)
  }

  /// Tries the best run with the whole grace, and keeps it if it fails.
  private mutating func lasts() -> Bool {
    attempt([best.scenario.removing("grace")], most: .max, isLast: true) != nil
  }

  /// Ends the run as soon as the promise is broken, to a fiftieth of its time. It is the beginning
  /// of the same run.
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

  /// Tries one kind of smaller scenarios after another, as long as each helps, until none does.
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
    // Rounded up, so that a single element is tried too.
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

  /// The scenario with hardly any rest after the last action, for oracles that judge at once.
  private func restless(_ scenario: JSONValue) -> [JSONValue] {
    let people = scenario["people"]?.array ?? []
    guard Oracle.immediate.contains(oracle), people.contains(where: { $0["rest"] == nil }) else { return [] }
    return [scenario.setting("people", .array(people.map { $0.setting("rest", "100ms") }))]
  }

  /// Replaces random actions by a script, or random strikes by faults at exact times.
  private mutating func writeOut(people: Bool) {
    let scenario = best.scenario
    let written = people ? scenario.scripted(as: best.run.acts) : scenario.struck(as: best.run.struck)
    guard written != scenario else { return }
    // An exact scenario may take more of the scheduler's steps.
    let most = 2 * best.run.steps
    if (attempt([written], most: most) ?? attempt([written], seeds: Self.manySeeds, most: most)) != nil {
      fewestSteps = best.run.steps
    }
  }

  // MARK: Choices

  private mutating func shrinkChoices() {
    // Streams with the most draws matter least for each draw.
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

  /// The first of the windows with which the run fails.
  private mutating func tryWindows(_ windows: [Range<Int>], of stream: String) -> Range<Int>? {
    let candidates = windows.map { window -> JSONValue in
      let choices = (best.scenario["choices"] ?? .object([]))
        .setting(stream, [.int(Int64(window.lowerBound)), .int(Int64(window.upperBound))])
      return best.scenario.setting("choices", choices)
    }
    return attempt(candidates).map { windows[$0] }
  }
}
