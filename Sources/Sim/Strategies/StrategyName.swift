/// The names of the strategies for a single run. `ScheduleTree` runs all schedules.
public enum StrategyName: String, CaseIterable, Sendable {
  case random
  case inOrder = "in-order"
  case pct, uniform

  /// All names, separated by commas.
  public static let list = allCases.map(\.rawValue).joined(separator: ", ")

  package func make(_ choices: Choices, profile: StepProfile?) -> any Strategy {
    switch self {
    case .random: RandomWalk(choices)
    case .inOrder: InOrder()
    case .pct: ProbabilisticConcurrency(choices)
    case .uniform: UniformWalk(choices, profile: profile ?? StepProfile())
    }
  }
}
