import Environment
import System

/// Low limits in drawn scenarios. With those of real use no run would reach them.
extension ScenarioDraw {
  /// Whether programs judge the limits of queues.
  private func judgesLimits(_ scenario: JSONValue) -> Bool {
    (scenario["people"]?.array ?? []).contains { $0["limits"] == true || $0["methods"] == true }
  }

  /// The scenario, with a chance of 0.4 of a broker that keeps little in memory. The same bound
  /// says when the disk is behind. Then the limits of queues wait for it, so programs that judge
  /// these limits have a broker with the usual bound.
  func limited(_ scenario: JSONValue, _ nodes: [String]) -> JSONValue {
    guard nodes.contains("broker"), limits.chance(0.4) else { return scenario }
    guard !judgesLimits(scenario) else { return scenario }
    let service = scenario["service"] ?? .object([])
    return scenario.setting("service", service.setting("pagingBound", .int(limits.pick([0, 100, 2000]))))
  }

  /// The scenario, with a chance of 0.3 of a User Manager that soon removes sessions that have
  /// ended.
  func forgetful(_ scenario: JSONValue, _ nodes: [String]) -> JSONValue {
    guard nodes.contains("manager"), retentions.chance(0.3) else { return scenario }
    var service = (scenario["service"] ?? .object([]))
      .setting("endedSessionRetention", .string(retentions.pick(["100ms", "2s", "8s"])))
    if retentions.chance(0.4) {
      service = service.setting("maximumEndedSessions", .int(retentions.pick([1, 3])))
    }
    return scenario.setting("service", service)
  }

  /// The scenario, with a chance of 0.3 of lower work limits, of those that its nodes have.
  /// Programs that judge the limits of queues have a broker that does what they publish in one
  /// turn.
  func lowered(_ scenario: JSONValue, _ nodes: [String]) -> JSONValue {
    guard work.chance(0.3), scenario["service"]?["limits"] == nil else { return scenario }
    let there = nodes + (scenario["topology"]?["database"] == nil ? [] : [Scenario.databaseNode])
    let lower = WorkLimit.allCases.filter { $0.node.map(there.contains) ?? true }.filter { _ in work.chance(0.4) }
      .filter { !$0.delaysQueues || !judgesLimits(scenario) }
    guard !lower.isEmpty else { return scenario }
    let limits = lower.map { limit -> JSONValue.Member in
      let least = limit.isBatch ? Self.leastBatch : limit == .prefetch ? leastPrefetch(scenario) : limit.row.least
      let some = limit.row.unit == "bytes" ? 1000 : 4
      return .init(limit.rawValue, .int(Int64(min(limit.standard, work.pick([least, least + 1, least + some])))))
    }
    return scenario.setting("service", (scenario["service"] ?? .object([])).setting("limits", .object(limits)))
  }

  /// The fewest things that one flush of a disk, or one commit, is for.
  private static let leastBatch = 8

  /// The prefetch with which every worker is done well within the grace. A worker spends its
  /// `workTime` on what it holds, be that one message or a hundred. A commit of the User Manager is
  /// for what it holds.
  private func leastPrefetch(_ scenario: JSONValue) -> Int {
    let run = scenario.time("run") ?? .zero
    let needed = (scenario["people"]?.array ?? []).map { people -> Double in
      guard let work = people.time("workTime"), let batch = people["batch"]?.int else { return 1 }
      let messages = run / (people.time("thinkTime") ?? .seconds(1)) * Double(batch) / 2
      let attempts = 1 / (1 - (people["failing"]?.number ?? 0))
      return messages * attempts * (work / .seconds(300))
    }
    let least = scenario["topology"]?["supervisorHosts"] == nil ? 1 : Self.leastBatch
    return max(least, Int((needed.max() ?? 1).rounded(.up)))
  }
}

extension WorkLimit {
  /// Whether the limit bounds what one flush of a disk, or one answer of a broker, is for. With one
  /// at a time a node falls behind busy people, and is not at rest in time.
  fileprivate var isBatch: Bool { [.databaseBatch, .postgresBatch, .managerBatch, .outboxBatch].contains(self) }

  /// Whether a low limit lets a queue act later than it usually does. It is over its limits until
  /// the broker has dropped enough, for which it may have to read bodies, and delivers when the
  /// client has read more.
  fileprivate var delaysQueues: Bool {
    [.dispatchShare, .deliveryBacklog, .journalRead, .journalPage].contains(self)
  }

  /// The node whose work the limit bounds; nil for any node.
  fileprivate var node: String? {
    switch self {
    case .databaseBatch, .databaseWrite: nil
    case .postgresBatch, .postgresStatements: Scenario.databaseNode
    case .dispatchShare, .journalRead, .journalPage, .deliveryBacklog, .prefetch, .publisherOutput: "broker"
    case .sessionSweep: Scenario.usersNode
    case .pollPackets, .sessionEvents, .deletedAccounts, .fanOutFill, .idleSessions, .sessionRechecks, .nodeSockets,
      .departures, .removedMessages:
      Scenario.chatNode
    case .managerBatch, .outboxBatch, .retiredSessions, .retiredRows, .staleUsers, .joinedDemands: "manager"
    case .transcriptPage, .transcriptRows, .erasedRows: Scenario.customersNode
    }
  }
}
