import Environment

/// Ends queues that nobody uses for their idle time (`x-expires`): no consumer, no `basic.get`, no
/// declaration. Used on the broker's actor.
struct IdleQueues {
  private let environment: Environment
  private let tasks: BrokerTasks

  init(_ environment: Environment, _ tasks: BrokerTasks) {
    self.environment = environment
    self.tasks = tasks
  }

  /// Notes that a queue is used now.
  func noteUse(of queue: BrokerQueue) {
    guard let time = queue.rules.idleTime else { return }
    queue.lastUse = environment.clock.now
    arm(queue, after: Self.duration(time))
  }

  /// Whether the time of a queue is over. Otherwise it is looked at again.
  func isOver(_ queue: BrokerQueue) -> Bool {
    queue.idleTimer = nil
    guard let time = queue.rules.idleTime, let last = queue.lastUse, queue.consumerCount == 0 else { return false }
    let rest = last + Self.duration(time) - environment.clock.now
    if rest <= .zero { return true }
    arm(queue, after: rest)
    return false
  }

  private static func duration(_ time: Milliseconds) -> Duration { .milliseconds(Int64(time.count)) }

  private func arm(_ queue: BrokerQueue, after rest: Duration) {
    // A timer that is armed looks at the time of the last use when it ends.
    guard queue.idleTimer == nil, queue.consumerCount == 0, !queue.isDeleted else { return }
    queue.idleTimer = tasks.start(.endIdle(queue.id, after: rest))
  }
}
