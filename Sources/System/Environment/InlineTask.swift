/// Runs `body` to its end on the calling thread, in a task of its own, and then returns.
///
/// For asynchronous code that happens never to suspend, such as a transaction on a local database.
/// It starts no thread and enqueues no job. A body that suspends, or that switches to an actor,
/// stops the process.
public func runInline(_ body: @escaping @Sendable () async -> Void) {
  let end = InlineEnd()
  Task.immediate {  // The one place where a task runs inline.
    await body()
    end.isReached = true
  }
  require(end.isReached, "code that runs inline has suspended")
}

/// Unchecked, since the task runs on the thread that reads it.
private final class InlineEnd: @unchecked Sendable {
  var isReached = false
}
