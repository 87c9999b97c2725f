import Glibc
import Simulation

/// Child processes that run cases side by side.
final class WorkerPool {
  private let workers: [FuzzWorker]

  init(_ count: Int, runLimit: Duration = FuzzWorker.defaultRunLimit) {
    workers = (0..<count).map { _ in FuzzWorker(runLimit: runLimit) }
  }

  /// Whether no case runs.
  var isIdle: Bool { workers.allSatisfy { $0.running == nil } }

  /// Gives a case to each worker that has none, as long as `next` returns one.
  func fill(_ next: () -> FuzzWorker.Case?) {
    for worker in workers where worker.running == nil {
      guard let one = next() else { return }
      worker.start(one)
    }
  }

  /// Waits up to a quarter of a second for output. Passes on the cases that are done.
  func wait(_ take: (FuzzWorker.Case, FuzzWorker.Outcome) -> Void) {
    var descriptors = workers.compactMap { $0.descriptor.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) } }
    poll(&descriptors, nfds_t(descriptors.count), 250)
    for worker in workers {
      if let (one, outcome) = worker.stopIfStuck() { take(one, outcome) }
    }
    for descriptor in descriptors where descriptor.revents != 0 {
      guard let worker = workers.first(where: { $0.descriptor == descriptor.fd }),
        let (one, outcome) = worker.receive()
      else { continue }
      take(one, outcome)
    }
  }

  /// Ends all children.
  func stop() {
    for worker in workers { worker.stop() }
  }
}
