/// A value that a concurrent closure may capture although its type is not `Sendable`.
///
/// It is sound because everything about a run happens on one thread. In a simulated world one
/// scheduler runs all jobs of all nodes. Against live servers all users live on one node, whose
/// executor is one event loop. The type is for the users of a run and what they share, and for
/// nothing else.
struct Confined<Value>: @unchecked Sendable {
  let value: Value

  init(_ value: Value) { self.value = value }
}
