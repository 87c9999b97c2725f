@_spi(ExperimentalCustomExecutors) @_spi(ExperimentalScheduling) import _Concurrency

/// The process's global executor. It gives jobs to the current `GlobalJobs`, or else to the
/// platform's global executor.
///
/// The runtime's hook sees no job of `Task.yield` and `Task.sleep`: they ask the global executor
/// directly. So it is replaced as well.
final class GlobalExecutor: TaskExecutor, SchedulingExecutor {
  /// Sleeps are rounded up to this. `Task.sleep(for:)` arrives as a deadline on the machine's
  /// clock, some microseconds after the duration was added to that clock, so the exact duration is
  /// unknown.
  static let grain = Duration.milliseconds(10)

  private enum Factory: ExecutorFactory {
    static let global = GlobalExecutor(platform: PlatformExecutorFactory.defaultExecutor)
    static var mainExecutor: any MainExecutor { PlatformExecutorFactory.mainExecutor }
    static var defaultExecutor: any TaskExecutor { global }
  }

  private let platform: any TaskExecutor

  private init(platform: any TaskExecutor) { self.platform = platform }

  static func install() { _createExecutors(factory: Factory.self) }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    if !GlobalJobs.offer(job) { platform.enqueue(job) }
  }

  func enqueue<C: _Concurrency.Clock>(
    _ job: consuming ExecutorJob, after delay: C.Duration, tolerance: C.Duration?, clock: C
  ) {
    enqueue(job, at: clock.now.advanced(by: delay), tolerance: tolerance, clock: clock)
  }

  func enqueue<C: _Concurrency.Clock>(
    _ job: consuming ExecutorJob, at instant: C.Instant, tolerance: C.Duration?, clock: C
  ) {
    let job = UnownedJob(job)
    if let delay = clock.now.duration(to: instant) as? Duration, GlobalJobs.offer(job, after: Self.rounded(delay)) {
      return
    }
    (platform as! any SchedulingExecutor).enqueue(ExecutorJob(job), at: instant, tolerance: tolerance, clock: clock)
  }

  /// `delay` in whole grains, at least one.
  static func rounded(_ delay: Duration) -> Duration {
    let grains = Int64((max(delay, .zero) / grain).rounded(.up))
    return grain * max(1, grains)
  }
}
