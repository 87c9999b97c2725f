import Simulation
import System

/// The calls of a run, judged by the model of the contract.
///
/// Each answer and each message that a client saw has to be explained by the model under an order
/// that respects real time. Histories are divided by key: two users, a group, a session.
struct ContractEvidence {
  /// What the model does not explain, by the name of the oracle.
  private(set) var breaches: [String: [Breach]] = [:]
  /// The keys whose history the model could not decide: too many requests overlap, or nobody saw
  /// how the history began.
  private(set) var notDecided = 0
  /// The keys that were judged.
  private(set) var decided = 0

  /// The configurations that are tried for one key.
  private static let bound = 20_000

  init() {}

  /// Judges the calls of a run. `hasRestarts`: whether the User Service may have forgotten
  /// something that it keeps in memory.
  ///
  /// `hasDelegates`: whether some client spoke for a service, and may have changed the session of
  /// any customer.
  init(_ log: CallLog, _ identities: Identities, hasRestarts: Bool, hasDelegates: Bool = false) {
    judgeChat(log, identities)
    if !hasDelegates { judgeCustomers(log, identities) }
    let failures = LoginFailures(log, identities, hasRestarts: hasRestarts)
    if let breach = failures.breach() { note("throttle", breach) }
  }

  private mutating func judgeCustomers(_ log: CallLog, _ identities: Identities) {
    let customers = CustomerHistories(log, identities)
    judge(CustomerModel.self, customers.entries, log, "customers", "the session of") { $0 }
    guard let (call, why) = customers.misjudged else { return }
    note("customers", Breach("a session needs the password of the account, and no more", [log.say(call), why]))
  }

  private mutating func judgeChat(_ log: CallLog, _ identities: Identities) {
    guard !identities.sessions.isEmpty else { return }
    let stores = ChatStores(log, identities)
    var pairs = PairHistories(log, identities, stores)
    let groups = GroupHistories(log, identities, stores, &pairs)
    judge(PairModel.self, pairs.entries, log, "contacts", "contacts and messages of") { "\($0)" }
    judge(GroupModel.self, groups.entries, log, "groups", "members and messages of") { "group \($0)" }
    notDecided += groups.undecided.count + pairs.undecided.count
    if let fact = stores.strange.first(where: { !stores.undecided.contains($0.conversation) }) {
      note("contacts", Breach("every message was sent by somebody", ["nobody has sent \(fact)"]))
    }
    if let index = groups.baseless.first {
      note("groups", Breach("a group of users who exist and are not blocked is created", [log.say(index)]))
    }
    if let refusal = stores.refusals.first(where: {
      stores.isStored($0, before: log.calls[$0.call].interval.invoked)
    }) {
      note(
        "contacts",
        Breach(
          "the same client_id from the same sender gives the first answer again",
          [log.say(refusal.call), "and the message had been stored before"]))
    }
    if let breach = ChatSessionHistories(log, identities).breach() { note("sessions", breach) }
  }

  private mutating func note(_ oracle: String, _ breach: Breach) { breaches[oracle, default: []].append(breach) }

  private mutating func judge<Model: SequentialModel, Key: Hashable & Comparable>(
    _ model: Model.Type, _ entries: [Key: [HistoryEntry<Model.Input>]], _ log: CallLog, _ oracle: String,
    _ what: String, _ describe: (Key) -> String
  ) {
    for key in entries.keys.sorted() {
      decided += 1
      switch Linearizability<Model>.check(entries[key]!, bound: Self.bound) {
      case .linearizable: continue
      case .undecided:
        decided -= 1
        notDecided += 1
      case .violated(let operation):
        guard breaches[oracle] == nil else { continue }
        let culprit = log.calls[operation].interval
        let story = Set(entries[key]!.map(\.operation)).sorted().filter {
          $0 != operation && log.calls[$0].interval.invoked < culprit.answered
        }
        note(
          oracle,
          Breach(
            "\(what) \(describe(key)) are as the contract says, in some order",
            story.suffix(16).map(log.say) + ["no order explains: \(log.say(operation))"]))
      }
    }
  }
}

extension CallLog {
  /// A call in words.
  func say(_ index: Int) -> String {
    let call = calls[index]
    let shown = (call.arguments.members ?? []).filter { $0.name != "sessionID" && $0.name != "password" }
    let answer = call.answer == .null ? "" : " \(Self.short(call.answer.text))"
    let end = call.status == nil ? "" : "–\(VirtualTime.text(call.interval.answeredAt))"
    return "\(VirtualTime.text(call.interval.invokedAt))\(end) \(call.person): \(call.name) "
      + "\(Self.short(JSONValue.object(shown).text)) → \(call.status.map { "\($0)\(answer)" } ?? "no answer")"
  }

  private static func short(_ text: String) -> String { text.count > 300 ? "\(text.prefix(300))…" : text }
}
