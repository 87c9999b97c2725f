/// A step of a run after which a given job goes next, whatever the strategy picks. A run and the
/// run with the pick are the same up to that step.
public struct Pick: Hashable, Sendable {
  /// The number of jobs that run before it.
  public let step: Int
  /// The place of the job among the runnable ones, from 0. A place without a job leaves the choice
  /// to the strategy.
  public let job: Int

  /// Creates a pick after `step` jobs.
  public init(step: Int, job: Int) {
    self.step = step
    self.job = job
  }

  /// Reads the form `STEP@JOB`, as in `1200@2`; nil for anything else.
  public init?(_ text: String) {
    guard let (step, number) = Branch.parse(text), let job = UInt32(exactly: number) else { return nil }
    self.init(step: step, job: Int(job))
  }

  /// The form `STEP@JOB`.
  public var text: String { "\(step)@\(job)" }
}

/// A job that may run next.
public struct RunnableJob: Sendable {
  /// The node, and the name of the task or `work` for a piece of blocking work.
  public let task: String
  /// The number of its chain. See `Chain`.
  public let chain: Int
  /// The name of the actor on which it runs, if an actor has asked for it.
  public let actor: String?
  /// The last wait of the task.
  public let wait: String?
}
