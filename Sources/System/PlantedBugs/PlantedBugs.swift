import Synchronization

/// The bugs that are planted in one service: none, unless a scenario or a test plants some.
///
/// Options hold a value of this type as `planted`, and code that a bug changes asks it by a call:
///
/// ```swift
/// if options.planted(.dropsOnUpgrade) { _ = session.takeAll() }
/// ```
///
/// Without the package trait `PlantedBugs` the answer is the constant `false`, and the optimizer
/// removes the branch.
public struct PlantedBugs: Sendable {
  #if PlantedBugs
    private let bugs: Set<PlantedBug>
    private let memory = Memory()

    /// Plants bugs. What they remember between calls begins empty, so each start of a service makes
    /// a value of its own.
    public init(_ bugs: Set<PlantedBug> = []) { self.bugs = bugs }

    func callAsFunction(_ bug: PlantedBug) -> Bool { bugs.contains(bug) }

    /// Returns the values that were kept under a key, at first the given ones. With `isRefreshing`
    /// the next call returns those of this one.
    func cached(_ values: [Int64], under key: Int64, isRefreshing: Bool) -> [Int64] {
      memory.cache.withLock { cache in
        let known = cache[key]
        if known == nil || isRefreshing { cache[key] = values }
        return known ?? values
      }
    }

    private final class Memory: Sendable {
      let cache = Mutex<[Int64: [Int64]]>([:])
    }
  #else
    /// Plants no bug.
    public init(_ bugs: Set<PlantedBug> = []) {}

    func callAsFunction(_ bug: @autoclosure () -> PlantedBug) -> Bool { false }

    func cached(_ values: [Int64], under key: Int64, isRefreshing: Bool) -> [Int64] { values }
  #endif
}
