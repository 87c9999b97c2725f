import Environment

/// Brings changes to the disk, many in a commit, and reports when they are there. A publication is
/// confirmed after the commit that holds it. Used on the broker's actor.
///
/// A commit starts as soon as something has to be on the disk. Everything that is appended while it
/// runs is in the next one. Removals alone can wait: a message that was acknowledged may be
/// delivered again after a crash. A message that is removed before its commit is never written.
final class BrokerJournal {
  /// A publication that is confirmed after a commit.
  typealias Confirmation = (channel: BrokerChannel, tag: UInt64)

  /// How long removals wait for another commit.
  private static let removalDelay: Duration = .milliseconds(100)
  /// Time between two attempts while the database fails.
  private static let retryDelay: Duration = .milliseconds(100)

  private let environment: Environment
  private let database: Database
  private let tasks: BrokerTasks
  private var changes: [BrokerChange] = []
  /// The places in `changes` of messages that are not written yet.
  private var insertions: [Int64: Int] = [:]
  private var confirmations: [Confirmation] = []
  private var waiters: [UnsafeContinuation<Bool, Never>] = []
  /// Bytes of messages that are not written yet.
  private(set) var pendingBytes = 0
  private var isCommitting = false
  /// Whether anything waits for the changes that came since the commit under way began.
  private var isAwaited = false
  /// Whether a task commits removals soon.
  private var isCommittingSoon = false
  /// Opened when no commit is under way.
  private let idle = Gate()
  /// Whether nothing reaches the disk any more.
  private(set) var isClosed = false
  /// Called after each commit, with its changes and the publications to confirm.
  var committed: ([BrokerChange], [Confirmation]) -> Void = { _, _ in }

  init(_ environment: Environment, _ database: Database, _ tasks: BrokerTasks) {
    self.environment = environment
    self.database = database
    self.tasks = tasks
  }

  /// Waits until no commit is under way or planned, but not beyond `deadline`.
  func waitUntilIdle(before deadline: Instant, on broker: isolated any Actor) async {
    while isCommitting || isCommittingSoon, await idle.wait(until: deadline, in: environment) {}
  }

  /// Appends a change.
  func append(_ change: BrokerChange) {
    switch change {
    case .insert(let id, _, _, let message):
      insertions[id] = changes.count
      pendingBytes += message.size
    case .delete(let id):
      if let index = insertions.removeValue(forKey: id) {
        if case .insert(_, _, _, let message) = changes[index] { pendingBytes -= message.size }
        changes[index] = .nothing
        return
      }
    default: break
    }
    changes.append(change)
    if case .delete = change { commitSoon() } else { startCommit() }
  }

  /// Confirms a publication after everything that was appended before is on the disk.
  func confirm(_ tag: UInt64, on channel: BrokerChannel) {
    confirmations.append((channel, tag))
    startCommit()
  }

  /// Waits until everything that was appended is on the disk. Returns false when the broker is
  /// down.
  func stored() async -> Bool {
    if isClosed { return false }
    if changes.isEmpty, !isCommitting { return true }
    startCommit()
    return await withUnsafeContinuation { waiters.append($0) }
  }

  // MARK: Commits

  private func commitSoon() {
    guard !isCommitting, !isCommittingSoon else { return }
    isCommittingSoon = true
    tasks.start(.commitRemovals(after: Self.removalDelay))
  }

  /// Commits removals that nothing else has committed.
  func commitRemovals() {
    isCommittingSoon = false
    if changes.isEmpty { idle.open() } else { startCommit() }
  }

  private func startCommit() {
    isAwaited = true
    guard !isCommitting else { return }
    isCommitting = true
    tasks.start(.commit)
  }

  /// Commits as long as anything waits.
  func commitAll() async {
    while isAwaited {
      isAwaited = false
      let (batch, confirmed, waiting) = (changes, confirmations, waiters)
      changes = []
      insertions = [:]
      confirmations = []
      waiters = []
      let isStored = if batch.isEmpty { true } else { await write(batch) }
      pendingBytes -= batch.reduce(0) { sum, change in
        if case .insert(_, _, _, let message) = change { sum + message.size } else { sum }
      }
      for waiter in waiting { waiter.resume(returning: isStored) }
      guard isStored else {
        close()
        break
      }
      committed(batch, confirmed)
    }
    isCommitting = false
    if changes.isEmpty { idle.open() } else { commitSoon() }
  }

  /// Writes a batch, repeatedly until the database has it. Returns false when the broker is down.
  private func write(_ batch: [BrokerChange]) async -> Bool {
    await retry("broker-store") { connection in
      let tables = BrokerTables(connection)
      for change in batch { try await tables.apply(change) }
      return true
    } ?? false
  }

  /// Reads messages until the database answers. Returns nothing when the broker is down.
  func read(_ ids: [Int64]) async -> [(id: Int64, message: BrokerMessage?)] {
    let bytes = environment.limits[.journalRead]
    return await retry("broker-load") { try await BrokerTables($0).messages(ids, bytes: bytes) } ?? []
  }

  private func retry<R: Sendable>(
    _ event: String, _ body: @escaping @Sendable (SQLSession) async throws -> R
  ) async -> R? {
    while !isClosed {
      do {
        return try await database.transaction(body)
      } catch let error as DatabaseError {
        if case .closed = error { return nil }
        environment.log.warning(event, ["error": .string(error.reason)])
        do { try await environment.clock.sleep(for: Self.retryDelay) } catch { return nil }
      } catch {
        return nil
      }
    }
    return nil
  }

  /// Stops. Nothing that waits for the disk will be there.
  func close() {
    isClosed = true
    let waiting = waiters
    waiters = []
    for waiter in waiting { waiter.resume(returning: false) }
  }
}
