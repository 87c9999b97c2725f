/// The chance that a run breaks a promise, as a function of the number of its steps that are kept.
///
/// For a number of steps k, continuations of the run keep the first k steps, and make all later
/// choices with other seeds. The share of them that fails is an estimate of the chance. Where the
/// chance rises is where the run was decided.
public struct Likelihood: Sendable {
  /// The continuations after one step.
  public struct Point: Sendable {
    /// The number of steps that are kept.
    public let step: Int
    /// Continuations that broke the promise.
    public fileprivate(set) var failures = 0
    /// All continuations.
    public fileprivate(set) var runs = 0

    /// The share that broke the promise, from 0 to 1.
    public var chance: Double { runs == 0 ? 0 : Double(failures) / Double(runs) }
  }

  /// Continuations that are wanted after a step.
  public struct Request: Hashable, Sendable {
    /// The step.
    public let step: Int
    /// The seeds of the continuations.
    public let seeds: ClosedRange<UInt64>
  }

  /// The maximum number of points.
  public static let mostPoints = 30
  /// The continuations after each step at the end, and those that decide where to look.
  public static let continuations = 64
  static let firstContinuations = 16
  /// The first points, in eighths of the run. Their order gives a rough picture early.
  private static let spread = [0, 8, 4, 2, 6, 1, 3, 5, 7]

  /// The steps of the run.
  private let steps: Int
  /// The points, in order of their steps.
  public private(set) var points: [Point] = []

  /// Starts an estimate for a run of `steps` steps.
  public init(steps: Int) { self.steps = steps }

  /// The continuations to run next; nil when the estimate is complete.
  ///
  /// First points are spread over the run. Then the largest rise between two neighbours is halved
  /// until it is a single step. Then all points get their full number, the largest rise first.
  public var next: Request? {
    for index in Self.spread {
      let step = steps * index / 8
      if !points.contains(where: { $0.step == step }) { return request(step, upTo: Self.firstContinuations) }
    }
    guard let rise else { return nil }
    if points.count < Self.mostPoints, rise.after.step - rise.before.step > 1 {
      return request((rise.before.step + rise.after.step) / 2, upTo: Self.firstContinuations)
    }
    let poorest = [rise.before, rise.after] + points
    return poorest.first { $0.runs < Self.continuations }.map { request($0.step, upTo: Self.continuations) }
  }

  private func request(_ step: Int, upTo count: Int) -> Request {
    let done = points.first { $0.step == step }?.runs ?? 0
    return Request(step: step, seeds: UInt64(done) + 1...UInt64(count))
  }

  /// Adds the outcome of one continuation after a step.
  public mutating func add(_ step: Int, failed: Bool) {
    let place = points.firstIndex { $0.step >= step } ?? points.count
    if place == points.count || points[place].step != step { points.insert(Point(step: step), at: place) }
    points[place].runs += 1
    if failed { points[place].failures += 1 }
  }

  /// The chance at the beginning of the run, in percent.
  public var base: String { DecidingMoment.percent(points.first?.chance ?? 0) }

  /// The neighbours between which the chance rises most; nil without two points.
  public var rise: (before: Point, after: Point)? {
    let pairs = zip(points, points.dropFirst())
    return pairs.max { $0.1.chance - $0.0.chance < $1.1.chance - $1.0.chance }.map { ($0, $1) }
  }

  /// A small plot: a block for each of `width` shares of the run.
  public func plot(width: Int = 60) -> String {
    let blocks = Array("▁▂▃▄▅▆▇█")
    guard let first = points.first else { return "" }
    return String(
      (0..<width).map { column -> Character in
        let point = points.last { $0.step <= steps * column / max(1, width - 1) } ?? first
        return blocks[min(blocks.count - 1, Int(point.chance * Double(blocks.count - 1) + 0.5))]
      })
  }
}
