import CConcurrency

/// The runtime's number for the task that a job belongs to. `UnownedJob.description` shows it,
/// twenty times more slowly.
@_silgen_name("swift_task_getJobTaskId")
package func taskID(of job: UnownedJob) -> UInt64

/// Actors without an executor of their own. The runtime runs them where it likes, so no scheduler
/// interleaves them.
package enum DefaultActors {
  /// The type of the default actor that `job` runs, or nil for a job of a task.
  package static func type(of job: UnownedJob) -> String? {
    guard let actor = parley_default_actor(unsafeBitCast(job, to: UnsafeMutableRawPointer.self)) else { return nil }
    let object = Unmanaged<AnyObject>.fromOpaque(actor).takeUnretainedValue()
    return "\(Swift.type(of: object))"
  }

  /// The type of `actor` if it is a default actor: its executor is the actor itself, with no
  /// witness table.
  package static func type(of actor: any Actor) -> String? {
    let (identity, implementation) = unsafeBitCast(actor.unownedExecutor, to: (UInt, UInt).self)
    let isDefault = identity == UInt(bitPattern: ObjectIdentifier(actor)) && implementation == 0
    return isDefault ? "\(Swift.type(of: actor))" : nil
  }
}
