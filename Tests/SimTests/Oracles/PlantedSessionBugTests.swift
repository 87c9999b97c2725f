import System
import Testing

@testable import Sim

/// Shows that each oracle over sessions and queues fails.
@Suite("Planted bugs of sessions and queues are found")
struct PlantedSessionBugTests {
  private func oracles(_ file: String, _ plant: (inout Scenario) -> Void) throws -> Set<String> {
    var scenario = try Scenario.file(file)
    plant(&scenario)
    var found: Set<String> = []
    for seed in 1...6 as ClosedRange<UInt64> {
      found.formUnion(ScenarioRunner(scenario).run(seed: seed).violations.map(\.oracle))
      if !found.isEmpty { return found }
    }
    return found
  }

  @Test("a broker that forgets the deliveries of a dead client loses messages")
  func losesUnacknowledged() throws {
    let found = try oracles("sessions/manager-crashes") { $0.service.planted = [.losesUnacknowledged] }
    #expect(!found.isDisjoint(with: ["complete", "served", "live"]), "\(found)")
  }

  @Test("a manager that acknowledges before its commit loses messages")
  func acknowledgesEarly() throws {
    let found = try oracles("sessions/manager-crashes") { $0.service.planted = [.acknowledgesEarly] }
    #expect(!found.isDisjoint(with: ["complete", "served", "live"]), "\(found)")
  }

  @Test(
    "a naive pool leaves sessions short of users, or forgets users",
    arguments: [
      (PlantedBug.listBesideDictionary, "staffed"), (.dropsOnAnyDisconnect, "present"),
    ])
  func naivePool(bug: PlantedBug, oracle: String) throws {
    let name = bug == .listBesideDictionary ? "a-list-beside-a-dictionary" : "dropped-on-any-disconnect"
    let scenario = try Scenario.file("lessons/\(name)")
    #expect(scenario.service.planted == [bug] && scenario.fails == [oracle])
    let violations = ScenarioRunner(scenario).run(seed: scenario.seed!).violations
    #expect(violations.map(\.oracle).contains(oracle))
    var mended = scenario
    mended.service.planted = []
    #expect(ScenarioRunner(mended).run(seed: scenario.seed!).violations.isEmpty)
  }

  @Test("a Chat Service that forgets departures leaves users available")
  func forgetsDepartures() throws {
    let found = try oracles("sessions/gone-for-good") { $0.service.planted = [.forgetsDepartures] }
    #expect(found.contains("gone"), "\(found)")
  }

  @Test(
    "a broker that loses a worker's messages or changes their order is found",
    arguments: [(PlantedBug.losesUnacknowledged, "worked-off"), (.requeuesAtTheEnd, "worked-in-order")])
  func workers(bug: PlantedBug, oracle: String) throws {
    let found = try oracles("queues/workers") { $0.service.planted = [bug] }
    #expect(found.contains(oracle), "\(found)")
  }

  @Test(
    "a broker whose queues keep to no limits is found",
    arguments: [
      (PlantedBug.expiresEarly, "expires-in-time"), (.ignoresPriorities, "higher-first"),
      (.exceedsLengths, "within-length"),
    ])
  func limits(bug: PlantedBug, oracle: String) throws {
    let found = try oracles("queues/limits") { $0.service.planted = [bug] }
    #expect(found.contains(oracle), "\(found)")
  }

  @Test("a broker whose messages expire late is found where no fault excuses it", arguments: [true, false])
  func expiresLate(isPlanted: Bool) throws {
    let found = try oracles("queues/limits") {
      $0.service.planted = isPlanted ? [.expiresLate] : []
      $0.faults = []
      $0.expect = []
      $0.link.stalls = 0
    }
    #expect(found.contains("expires-in-time") == isPlanted, "\(found)")
  }

  @Test(
    "a message expires within its time and a margin, which a fault extends",
    arguments: [
      (900, nil, true), (1000, nil, false), (4000, nil, false), (4200, nil, true), (4200, 500, false),
      (4200, 9000, true), (900, 500, true),
    ] as [(Int64, Int64?, Bool)])
  func expiresInTime(milliseconds: Int64, fault: Int64?, isBreach: Bool) {
    let log = LimitsLog(worker: "limited", hasSteadyClocks: true)
    var life = LimitsLog.Life(published: 0)
    life.confirmed = 10_000_000
    life.expired = milliseconds * 1_000_000
    log.lives = [life]
    let strikes = fault.map { [$0 * 1_000_000...$0 * 1_000_000 + 1] } ?? []
    #expect(QueueOracles.expiresInTime(log, strikes).isEmpty == !isBreach)
  }

  @Test(
    "confirmed messages are worked off, and only those worked off before are delivered again",
    arguments: [
      ([1, 2, 3], 3, []), ([1, 2, 1, 2, 3, 3], 3, []), ([1, 2], 3, ["worked-off"]),
      ([1, 3, 2], 3, ["worked-in-order"]),
      ([1, 3], 3, ["worked-off", "worked-in-order"]), ([2], 1, ["worked-off", "worked-in-order"]), ([], 0, []),
    ] as [([Int], Int, [String])])
  func work(done: [Int], confirmed: Int, expected: [String]) {
    let log = WorkLog(worker: "work")
    if confirmed > 0 { log.confirm(1...confirmed, from: 0, to: 0) }
    for number in done { log.note(number, at: 0) }
    let history = SessionHistory { 0 }
    history.work = [log]
    let judged = Oracle.judge(Evidence(sessions: history)).map(\.oracle)
    #expect(judged == expected)
  }

  @Test(
    "a message that was acknowledged comes back only if a fault struck in time, or while it was published",
    arguments: [nil, 0, 1, 4, 5, 9] as [Int64?])
  func acknowledgedOnce(fault: Int64?) {
    func seconds(_ count: Int64) -> Int64 { count * 1_000_000_000 }
    let log = WorkLog(worker: "work")
    log.confirm(1...2, from: 0, to: seconds(1) / 2)
    log.deliver([1, 2], at: seconds(1))
    log.acknowledge([1], from: seconds(1), to: seconds(2))
    log.deliver([2], at: seconds(8))
    let strikes = fault.map { [seconds($0)...seconds($0) + 1] } ?? []
    #expect(QueueOracles.acknowledgedOnce(log, strikes).isEmpty, "it was not acknowledged")
    log.deliver([1], at: seconds(10))
    let isExcused = fault.map { (0...5).contains($0) } ?? false
    #expect(QueueOracles.acknowledgedOnce(log, strikes).isEmpty == isExcused)
  }

  @Test("a connected user is available once the manager has had time to learn of it", arguments: [3, 12])
  func present(seconds: Int64) {
    let history = SessionHistory { 0 }
    history.overview = ["USERS": []]
    history.overviewAt = 10
    history.overviewAskedAt = seconds * 1_000_000_000
    history.sockets = [UserSocketRecord(person: "ann", user: 1, connected: 0, connectedAt: 0)]
    #expect(SessionOracles.present(history).isEmpty == (seconds < 10))
  }

  @Test("an unreadable message that is no dead letter is missed")
  func deadLetters() {
    func judged(_ poison: Int, _ letters: Int64) -> [String] {
      let history = SessionHistory { 0 }
      history.poison = poison
      history.overview = ["QUEUES": [["QUEUE": "PARLEY_DEAD_LETTER", "MESSAGES": .int(letters)]]]
      return Oracle.judge(Evidence(sessions: history)).map(\.oracle)
    }
    #expect(judged(3, 3) == [] && judged(3, 4) == [] && judged(3, 2) == ["dead-letters"])
  }

  @Test("the oracles over transcripts judge histories written by hand")
  func byHand() {
    func entry(_ sequence: Int64, _ text: String, _ from: JSONValue = 1) -> TranscriptEntry {
      TranscriptEntry(["SEQ": .int(sequence), "FROM": from, "MESSAGE": .string(text)])!
    }
    func judged(
      _ transcript: [TranscriptEntry], followed: [TranscriptEntry] = [], heard: [TranscriptEntry] = [],
      acceptances: Int = 1
    ) -> [String] {
      let history = SessionHistory { 0 }
      for text in ["a", "b", "c"] {
        var saying = Saying(person: "ann", from: 1, text: text, line: 0, interval: history.begin())
        history.end(&saying.interval)
        saying.isAccepted = true
        history.sayings.append(saying)
      }
      var socket = UserSocketRecord(person: "bob", user: 2, connected: 0, connectedAt: 0)
      socket.heard = heard.map { (0, $0) }
      history.sockets = [UserSocketRecord(person: "ann", user: 1, connected: 0, connectedAt: 0), socket]
      var run = CustomerRun(person: "cora", email: "c", interval: history.begin())
      run.transcript = transcript
      run.followed = followed
      run.isFinal = true
      run.isEnding = true
      run.acceptances = acceptances
      history.runs = [run]
      return Oracle.judge(Evidence(sessions: history)).map(\.oracle)
    }
    let all = [entry(1, "a"), entry(2, "b"), entry(3, "c")]
    #expect(judged(all, followed: Array(all[..<2]), heard: all) == [])
    #expect(judged(all, followed: [all[0], all[2]]) == ["transcript"])
    #expect(judged(all, followed: [all[0], all[0]]) == ["transcript"])
    #expect(judged(all, followed: [entry(1, "b")]) == ["transcript"])
    #expect(judged(Array(all[..<1]), followed: Array(all[..<2])).contains("transcript"))
    #expect(judged([entry(1, "a"), entry(3, "c")]).contains("transcript"))
    #expect(judged([entry(1, "a"), entry(2, "a")]) == ["transcript"])
    #expect(judged([entry(1, "b"), entry(2, "a")]) == ["transcript"])
    #expect(judged([entry(1, "nobody said it")]) == ["transcript"])
    #expect(judged([entry(1, "a"), entry(2, "c")]) == ["complete"])
    #expect(judged(all, heard: [all[1], all[0]]) == ["relayed"])
    #expect(judged(all, heard: [all[1], all[1]]) == ["relayed"])
    #expect(judged(all, heard: [entry(2, "a")]) == ["relayed"])
    #expect(judged(all, acceptances: 2) == ["accepted-once"])
  }

  @Test(
    "a user of a session receives all messages after their own: to the end if they stay, else to the last that they received",
    arguments: [
      ([2, 4], true, true), ([2], true, false), ([4], true, false), ([4], false, false), ([2], false, true),
      ([], false, true),
    ] as [([Int64], Bool, Bool)])
  func heard(places: [Int64], stays: Bool, isWell: Bool) {
    func entry(_ sequence: Int64, _ from: JSONValue) -> TranscriptEntry {
      TranscriptEntry(["SEQ": .int(sequence), "FROM": from, "MESSAGE": .string("\(sequence)")])!
    }
    let history = SessionHistory { 0 }
    var saying = Saying(person: "ann", from: 1, text: "1", line: 0, interval: history.begin())
    history.end(&saying.interval)
    saying.isAccepted = true
    history.sayings = [saying]
    var run = CustomerRun(person: "cora", email: "c", interval: history.begin())
    run.transcript = [entry(1, 1), entry(2, 2), entry(3, 1), entry(4, "CUSTOMER")]
    run.isFinal = true
    history.runs = [run]
    history.sockets = [UserSocketRecord(person: "ann", user: 1, connected: 0, connectedAt: 0)]
    history.sockets[0].heard = run.transcript.filter { places.contains($0.sequence) }.map { (0, $0) }
    history.overview = [
      "SESSIONS": [["EMAIL": "c", "SESSION_SUPERVISOR_ID": "s1", "STATUS": "running"]],
      "SUPERVISORS": [["SESSION_SUPERVISOR_ID": "s1", "LIST_USER_ID": stays ? [1] : []]],
    ]
    history.overviewAt = history.next()
    #expect(SessionOracles.heard(history).isEmpty == isWell)
  }
}
