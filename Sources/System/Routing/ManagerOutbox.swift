import Environment

/// Publishes the rows of the outbox in order, and deletes them once the broker has confirmed them.
///
/// A row whose deletion a crash prevents is published again by the next life, with the same message
/// id. The outbox runs on the manager's executor, so calls between the two cost no hop.
actor ManagerOutbox {
  /// Time that published rows wait for another commit to delete them.
  private static let deletionDelay: Duration = .milliseconds(500)

  private let environment: Environment
  private let database: Database
  private let client: AMQPClient
  /// The manager's name in the ids of its messages.
  private let identity: String
  private let serialExecutor: ActorExecutor
  private var rows: [OutboxRow]
  private var isPublishing = false
  /// Opened when all rows are published.
  private let published = Gate()
  private var publishedThrough: Int64 = 0
  private var deletedThrough: Int64 = 0
  private var isDeletionScheduled = false

  nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  /// - Parameter rows: What the last life left, in order.
  init(
    _ environment: Environment, _ database: Database, _ client: AMQPClient, identity: String, rows: [OutboxRow],
    on executor: ActorExecutor
  ) {
    self.environment = environment
    self.database = database
    self.client = client
    self.identity = identity
    self.rows = rows
    serialExecutor = executor
  }

  /// Waits until all rows are published, but not beyond `deadline`.
  func waitUntilEmpty(before deadline: Instant) async {
    while !rows.isEmpty, await published.wait(until: deadline, in: environment) {}
  }

  /// The last row that is known here.
  var lastPosition: Int64 { rows.last?.position ?? publishedThrough }

  /// The last published row that is still in the database, if there is one. A commit can delete the
  /// rows up to it.
  var deletablePosition: Int64? { publishedThrough > deletedThrough ? publishedThrough : nil }

  func noteDeleted(through position: Int64) { deletedThrough = max(deletedThrough, position) }

  /// Publishes rows that a commit has stored.
  func publish(_ new: [OutboxRow]) {
    rows += new
    startPublishing()
  }

  func startPublishing() {
    guard !isPublishing, !rows.isEmpty else { return }
    isPublishing = true
    environment.executor.spawn("manager-publisher") { await self.publishAll() }
  }

  private func publishAll() async {
    while !rows.isEmpty {
      let batch = Array(rows.prefix { $0.kind == .publish }.prefix(environment.limits[.outboxBatch]))
      do {
        if batch.isEmpty {
          try await changeQueue(rows[0])
        } else {
          try await client.publishEach(batch.compactMap(message))
        }
      } catch  where AMQPClient.isAboutMessage(error) {
        setAside(rows[0], because: "\(error)")
      } catch {
        // The client is closed. The next life publishes the rest.
        break
      }
      publishedThrough = rows[max(0, batch.count - 1)].position
      rows.removeFirst(max(1, batch.count))
      scheduleDeletion()
    }
    isPublishing = false
    published.open()
  }

  private func changeQueue(_ row: OutboxRow) async throws {
    if row.kind == .remove {
      try await client.delete(row.routingKey, exchange: row.exchange)
    } else {
      await client.declare([.queue(row.routingKey, exchange: row.exchange)])
    }
  }

  /// The message of a row, or nil if its properties cannot be read.
  private func message(_ row: OutboxRow) -> AMQPMessage? {
    var reader = AMQPReader(row.properties[...])
    guard var properties = try? AMQPProperties(&reader) else {
      setAside(row, because: "the properties cannot be read")
      return nil
    }
    if properties.messageID == nil { properties.messageID = "um-\(identity)-\(row.position)" }
    var message = AMQPMessage(
      exchange: row.exchange, routingKey: row.routingKey, properties: properties, body: row.body)
    message.isAnswer = row.exchange.isEmpty && row.routingKey != QueueNames.deadLetters
    return message
  }

  private func setAside(_ row: OutboxRow, because reason: String) {
    environment.log.error(
      "row-set-aside", ["row": .string("outbox \(row.position)"), "error": .string(reason)])
  }

  // MARK: Deletion

  /// Deletes published rows in a moment, unless a commit does so before.
  private func scheduleDeletion() {
    guard !isDeletionScheduled else { return }
    isDeletionScheduled = true
    environment.executor.spawn("manager-forget") {
      do { try await self.environment.clock.sleep(for: Self.deletionDelay) } catch { return }
      await self.deletePublished()
    }
  }

  func deletePublished() async {
    isDeletionScheduled = false
    guard let last = deletablePosition else { return }
    do {
      try await database.transaction { try await ManagerTables($0).outbox.delete(through: last) }
      noteDeleted(through: last)
    } catch {
      environment.log.info("outbox-rows-stay", ["error": .string("\(error)")])
    }
  }
}
