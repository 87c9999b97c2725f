/// What a client of the broker saw that the model of its queues does not explain.
final class MethodLog {
  let worker: String
  /// The first thing that nothing explains, with the steps before it.
  var breach: [String]?
  /// Times in which an answer or a delivery did not come.
  var missing: [(what: String, time: ClosedRange<Int64>)] = []
  /// Whether there were too many states that could explain what the client saw.
  var isUndecided = false
  /// The last steps.
  private(set) var story: [String] = []

  init(worker: String) { self.worker = worker }

  private static let length = 40

  func tell(_ line: String) {
    story.append(line)
    if story.count > Self.length { story.removeFirst() }
  }
}
