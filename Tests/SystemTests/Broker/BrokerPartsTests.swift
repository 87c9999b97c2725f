@testable import Environment
import Testing

@testable import Sim
@testable import Simulation
@testable import System

/// The parts of the broker by themselves.
@Suite("Parts of the broker")
struct BrokerPartsTests {
  // MARK: Confirms

  @Test("publications are acknowledged in order, with as few acknowledgements as possible")
  func confirms() {
    var confirms = PublisherConfirms()
    let tags = (0..<5).map { _ in confirms.expect() }
    #expect(tags == [1, 2, 3, 4, 5])
    confirms.confirm(2)
    confirms.confirm(3)
    #expect(confirms.takeAnswers() == [])
    confirms.confirm(1)
    #expect(confirms.takeAnswers() == [.basicAck(tag: 3, multiple: true)])
    #expect(confirms.takeAnswers() == [])
    confirms.confirm(3)
    confirms.confirm(9)
    confirms.confirm(4)
    #expect(confirms.takeAnswers() == [.basicAck(tag: 4, multiple: false)])
  }

  @Test("refused publications are answered in their places, those in a row together")
  func refusals() {
    var confirms = PublisherConfirms()
    for _ in 0..<7 { _ = confirms.expect() }
    for tag in [2, 3, 6] as [UInt64] { confirms.refuse(tag) }
    for tag in [4, 5] as [UInt64] { confirms.confirm(tag) }
    #expect(confirms.takeAnswers() == [])
    confirms.confirm(1)
    #expect(
      confirms.takeAnswers() == [
        .basicAck(tag: 1, multiple: false), .basicNack(tag: 3, multiple: true, requeue: false),
        .basicAck(tag: 5, multiple: true), .basicNack(tag: 6, multiple: false, requeue: false),
      ])
    confirms.refuse(7)
    #expect(confirms.takeAnswers() == [.basicNack(tag: 7, multiple: false, requeue: false)])
  }

  // MARK: Deliveries

  @Test("deliveries are settled by tag, or all up to a tag")
  func deliveries() {
    let queue = BrokerQueue(
      id: BrokerQueue.ID(name: "q", number: 1), isDurable: true, isAutoDelete: false, owner: nil, rules: QueueRules())
    var unsettled = UnsettledDeliveries()
    for id in 1...5 as ClosedRange<Int64> {
      let entry = QueueEntry(id: 10 * id, message: nil, expires: 0, isDurable: true)
      unsettled.add(BrokerDelivery(queue: queue, entry: entry, consumer: nil), unsettled.nextTag())
    }
    func ids(_ deliveries: [BrokerDelivery]?) -> [Int64]? { deliveries?.map(\.entry.id) }
    #expect(ids(unsettled.settle(2, multiple: false)) == [20])
    #expect(ids(unsettled.settle(2, multiple: false)) == nil)
    #expect(ids(unsettled.settle(6, multiple: true)) == nil)
    #expect(ids(unsettled.settle(3, multiple: true)) == [10, 30])
    #expect(unsettled.count == 2)
    #expect(ids(unsettled.settle(0, multiple: true)) == [40, 50])
    #expect(ids(unsettled.settleAll()) == [])
  }

  // MARK: Output

  @Test("answers that wait for a commit are sent after it, or never", arguments: [true, false])
  func output(isStored: Bool) {
    var output = BrokerOutput()
    output.bytes += [1, 2]
    output.hold()
    output.bytes += [3]
    output.hold()
    output.bytes += [4]
    #expect(output.isSendable)
    #expect(output.take() == [1, 2])
    #expect(!output.isSendable)
    output.writeHeartbeat()
    #expect(output.isSendable)
    #expect(output.take() == [8, 0, 0, 0, 0, 0, 0, 0xCE])
    output.release(isStored: isStored)
    #expect(!output.isHolding)
    #expect(output.take() == (isStored ? [3, 4] : []))
  }

  // MARK: Journal

  /// An actor that has a journal, as the broker has.
  private actor JournalOwner {
    private let environment: Environment
    private let tasks = BrokerTasks()
    private let journal: BrokerJournal
    private let serialExecutor: ActorExecutor
    private(set) var commits: [Int] = []
    nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

    init(_ environment: Environment, _ database: Database) {
      self.environment = environment
      serialExecutor = environment.executor.forActor("owner")
      journal = BrokerJournal(environment, database, tasks)
    }

    func begin() {
      tasks.begin { work in self.start(work) }
      journal.committed = { changes, _ in self.commits.append(changes.count) }
    }

    func end() {
      tasks.end()
      journal.committed = { _, _ in }
    }

    private func start(_ work: BrokerWork) -> Task<Void, Never>? {
      switch work {
      case .commit: return environment.executor.spawn("commit") { await self.journal.commitAll() }
      case .commitRemovals(let delay):
        return environment.executor.spawn("removals") {
          try? await self.environment.clock.sleep(for: delay)
          self.journal.commitRemovals()
        }
      default: return nil
      }
    }

    func append(_ changes: [BrokerChange]) { for change in changes { journal.append(change) } }
    func stored() async -> Bool { await journal.stored() }
    var pendingBytes: Int { journal.pendingBytes }
  }

  private static func insert(_ id: Int64) -> BrokerChange {
    .insert(
      id: id, queue: "q", expires: 0,
      BrokerMessage(exchange: "", routingKey: "q", properties: [0, 0], body: [1], isPersistent: true))
  }

  @Test("a commit holds everything that waits, and no message that was removed before it")
  func journal() throws {
    let world = World(seed: 1)
    let story = try world.perform(as: "owner") { environment in
      let database = Database(
        environment, path: "broker.db", migrations: BrokerSchema.migrations, options: DatabaseOptions())
      let ids: @Sendable () async throws -> [Int64] = {
        try await database.transaction { try await BrokerTables($0).recover().messages.map(\.id) }
      }
      let owner = JournalOwner(environment, database)
      await owner.begin()
      await owner.append([Self.insert(1), Self.insert(2), .delete(id: 1), Self.insert(3)])
      let isStored = await owner.stored()
      let first = try await ids()
      // A removal alone waits for a moment, and then has a commit of its own.
      await owner.append([.delete(id: 2)])
      let second = try await ids()
      try await environment.clock.sleep(for: .seconds(1))
      let third = try await ids()
      let bytes = await owner.pendingBytes
      await owner.end()
      return (isStored, [first, second, third], bytes, await owner.commits.filter { $0 > 0 }.count)
    }
    #expect(story.0)
    #expect(story.1 == [[2, 3], [2, 3], [3]])
    #expect(story.2 == 0)
    #expect(story.3 == 2)
  }

  /// Changes of a shared limit: `limit` with the number of unsettled messages, deliveries, and
  /// settled deliveries.
  enum PrefetchStep {
    case limit(Int, unsettled: Int)
    case deliver
    case settle(Int)
  }

  @Test(
    "a limit that consumers share counts as RabbitMQ does",
    arguments: [
      ([.limit(1, unsettled: 0)], false), ([.limit(1, unsettled: 0), .deliver], true),
      ([.limit(1, unsettled: 0), .deliver, .settle(1)], false),
      // What was held before counts from the beginning, and after it deliveries to consumers alone.
      ([.limit(1, unsettled: 1)], true), ([.limit(1, unsettled: 1), .settle(0)], true),
      ([.limit(1, unsettled: 1), .limit(2, unsettled: 0)], false),
      ([.limit(1, unsettled: 1), .limit(2, unsettled: 0), .deliver], true),
      ([.limit(1, unsettled: 1), .limit(0, unsettled: 1), .limit(1, unsettled: 0)], false),
      ([.deliver, .limit(0, unsettled: 5)], false),
    ] as [([PrefetchStep], Bool)])
  func sharedPrefetch(steps: [PrefetchStep], isReached: Bool) {
    var prefetch = SharedPrefetch()
    for step in steps {
      switch step {
      case .limit(let limit, let unsettled): prefetch.change(to: limit, unsettled: unsettled)
      case .deliver: prefetch.deliver()
      case .settle(let count): prefetch.settle(count)
      }
    }
    #expect(prefetch.isReached == isReached)
  }
}
