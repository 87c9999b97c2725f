/// The states that a broker may be in, as its only client knows them.
///
/// A connection that breaks leaves open which of the last steps took effect: a prefix of them did.
/// After a restart, the state is that after a prefix of them, from the last answer on that says
/// that something is on the disk.
struct QueueBelief: Sendable {
  /// A step of a client, with its answer.
  struct Step: Sendable {
    var input: QueueModel.Input
    /// Whether the answer came.
    var isAnswered = false
    /// Whether the answer says that the effects of everything so far are on the disk.
    var isOnDisk = false
  }

  /// The states that are tried.
  static let bound = 2000

  let model: QueueModel
  /// Empty if nothing explains what was seen.
  private(set) var states: [QueueModel.State]

  init(_ model: QueueModel, _ initial: QueueModel.State) {
    self.model = model
    states = [initial]
  }

  /// Whether there are too many states to go on.
  var isLost: Bool { states.count > Self.bound }

  /// Whether some state explains all steps with these deliveries, or might with more of them.
  enum Match {
    case complete, incomplete, none
  }

  private static func sorted(_ deliveries: [QueueModel.Delivery]) -> [QueueModel.Delivery] {
    deliveries.sorted { ($0.channel, $0.tag) < ($1.channel, $1.tag) }
  }

  /// How the deliveries that came go with steps that were all answered.
  func match(_ steps: [Step], _ heard: [QueueModel.Delivery]) -> Match {
    let sent = states.compactMap { after(steps, $0)?.sent }
    if sent.contains(where: { Self.sorted($0) == Self.sorted(heard) }) { return .complete }
    return sent.contains { Self.begins($0, with: heard) } ? .incomplete : .none
  }

  /// Whether the deliveries on each channel begin with those that came.
  private static func begins(_ sent: [QueueModel.Delivery], with heard: [QueueModel.Delivery]) -> Bool {
    Set(heard.map(\.channel)).allSatisfy { channel in
      let own = sent.filter { $0.channel == channel }
      return own.starts(with: heard.filter { $0.channel == channel })
    }
  }

  private func after(_ steps: [Step], _ state: QueueModel.State) -> QueueModel.State? {
    var next = state
    for step in steps {
      guard let following = model.step(next, step.input) else { return nil }
      next = following
    }
    return next
  }

  /// Takes steps that were all answered.
  mutating func take(_ steps: [Step], _ heard: [QueueModel.Delivery]) {
    keep(
      states.compactMap { state in
        guard var next = after(steps, state), Self.sorted(next.sent) == Self.sorted(heard) else { return nil }
        next.sent = []
        return next
      })
  }

  /// Takes steps after which the connection ended. `mayRestart`: whether the broker may have
  /// restarted.
  mutating func takeBroken(_ steps: [Step], _ heard: [QueueModel.Delivery], mayRestart: Bool) {
    let answered = (steps.lastIndex { $0.isAnswered } ?? -1) + 1
    let stored = (steps.lastIndex { $0.isOnDisk } ?? -1) + 1
    var next: [QueueModel.State] = []
    for state in states {
      var trail = [state]
      for step in steps {
        guard let following = model.step(trail.last!, step.input) else { break }
        trail.append(following)
      }
      // The deliveries that came show how far the broker was at least.
      let ends = trail.indices.filter { $0 >= answered && Self.begins(trail[$0].sent, with: heard) }
      guard let last = ends.last else { continue }
      let ended = ends.map { model.ended(trail[$0]) }
      next += ended
      guard mayRestart, stored <= last else { continue }
      // The broker may restart once more before the client is connected again.
      let restarted = (trail[stored...last] + ended).map(model.restarted)
      next += restarted + restarted.map(model.restarted)
    }
    keep(next)
  }

  private mutating func keep(_ next: [QueueModel.State]) {
    var seen: Set<QueueModel.State> = []
    states = next.filter { seen.insert($0).inserted }
  }
}
