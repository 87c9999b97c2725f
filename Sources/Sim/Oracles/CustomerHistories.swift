import Simulation
import System

/// The history of each customer's session, for `CustomerModel`.
struct CustomerHistories {
  typealias Entry = HistoryEntry<CustomerModel.Input>

  private(set) var entries: [String: [Entry]] = [:]
  /// The first call whose credentials were judged wrongly, and why.
  private(set) var misjudged: (call: Int, why: String)?
  private let log: CallLog
  /// The calls of `/initializeSession` of each customer.
  private var initializations: [String: [Int]] = [:]
  /// The registration of each email, as far as it is certain.
  private var registrations: [String: (password: String, answered: Int)] = [:]

  init(_ log: CallLog, _ identities: Identities) {
    self.log = log
    register(identities)
    var customers: [(index: Int, email: String)] = []
    for (index, call) in log.calls.enumerated() {
      guard case .http(Scenario.customersNode) = call.way, !call.isMalformed, let email = Self.email(of: call) else {
        continue
      }
      customers.append((index, email))
      if call.name == "POST /initializeSession" { initializations[email, default: []].append(index) }
    }
    for (index, email) in customers {
      guard let input = input(index, email) else { continue }
      let call = log.calls[index]
      let isUnknown =
        switch input {
        case .request, .end, .run(isSure: false, _): true
        default: false
        }
      entries[email, default: []].append(
        Entry(
          invoked: call.interval.invoked, answered: isUnknown ? .max : call.interval.answered, input: input,
          operation: index))
    }
  }

  /// Notes the emails whose account has one password and is never deleted.
  private mutating func register(_ identities: Identities) {
    var attempts: [String: [LoggedCall]] = [:]
    for call in log.calls where call.way == .http(Scenario.usersNode) && call.name == "POST /register" {
      guard !call.isMalformed, let email = call.arguments["email"]?.string?.lowercased() else { continue }
      attempts[email, default: []].append(call)
    }
    for email in attempts.keys.sorted() {
      let calls = attempts[email]!
      let names = identities.emails[email] ?? []
      guard names.count == 1, names.isDisjoint(with: identities.deletedNames), !identities.mayBeOperated(names),
        let password = calls[0].arguments["password"]?.string,
        calls.allSatisfy({ $0.arguments["password"]?.string == password })
      else { continue }
      // 400 says that an earlier attempt took effect, unless the name is that of another account.
      let isOnlyOne = !identities.emails.contains { $0.key != email && !$0.value.isDisjoint(with: names) }
      let answered = calls.filter { $0.status == 201 || $0.status == 400 && isOnlyOne }.map(\.interval.answered)
      if let first = answered.min() { registrations[email] = (password, first) }
    }
  }

  private static func email(of call: LoggedCall) -> String? {
    if call.name == "GET /sessionSTATUS" {
      let question = call.arguments["message"]?.string.flatMap { try? JSONParser.parse(Array($0.utf8)) }
      return question?["EMAIL"]?.string?.lowercased()
    }
    return call.arguments["EMAIL"]?.string?.lowercased()
  }

  private mutating func input(_ index: Int, _ email: String) -> CustomerModel.Input? {
    let call = log.calls[index]
    let times = CustomerModel.Times(invokedAt: call.interval.invokedAt, answeredAt: call.interval.answeredAt)
    let code = call.answer["MESSAGE"]?.string ?? ""
    switch (call.name, call.status) {
    case ("POST /requestSessionCreation", _): return request(call, index, email, code, times)
    case ("POST /initializeSession", 200): return .run(isSure: true, times)
    case ("POST /initializeSession", 404): return .notPending(mayBeInitializing: overlaps(index, email), times)
    case ("POST /initializeSession", 500) where code == "SESSION_CREATION_FAILED": return .fail(times)
    case ("POST /initializeSession", let status) where status == nil || status! >= 500:
      return .run(isSure: false, times)
    case ("PUT /handleSessionRequests", _): return command(call, code)
    case ("GET /sessionSTATUS", 200): return Self.stages[code].map { .status($0, times) }
    default: return nil
    }
  }

  private static let stages: [String: CustomerModel.Stage] = ["IDLE": .idle, "PENDING": .pending, "RUNNING": .running]

  private mutating func request(
    _ call: LoggedCall, _ index: Int, _ email: String, _ code: String, _ times: CustomerModel.Times
  ) -> CustomerModel.Input? {
    let token = call.answer["SESSION_TOKEN"]?.string
    // 500: the credential server does not answer, and nothing was requested.
    let isUnknown = call.status == nil || call.status! > 500
    if let known = registrations[email], let shown = call.arguments["PASSWORD"]?.string {
      if code == "INVALID_EMAIL_OR_PASSWORD", shown == known.password, known.answered < call.interval.invoked {
        misjudged = misjudged ?? (index, "this is the password of the account")
      } else if shown != known.password, call.status == 200 || code == "SESSION_ALREADY_RUNNING" {
        misjudged = misjudged ?? (index, "this is not the password of the account")
      }
    }
    if isUnknown { return .request(times) }
    if call.status == 200 { return .accept(token ?? "", times) }
    return code == "SESSION_ALREADY_RUNNING" ? .exists(token, times) : nil
  }

  private func command(_ call: LoggedCall, _ code: String) -> CustomerModel.Input? {
    guard let token = call.arguments["SESSION_TOKEN"]?.string else { return nil }
    let isEnd = call.arguments["REQUEST"] == "END_SESSION"
    switch call.status {
    case 200: return .command(token, isEnd: isEnd)
    case 401 where code == "INVALID_SESSION_TOKEN": return .wrongToken(token)
    case 404 where code == "NO_SESSION_RUNNING": return .notRunning
    case nil where isEnd: return .end(token)
    case let status? where status >= 500 && isEnd: return .end(token)
    default: return nil
    }
  }

  /// Whether another call may be waiting for a supervisor at the same time.
  private func overlaps(_ index: Int, _ email: String) -> Bool {
    let call = log.calls[index].interval
    return initializations[email]!.contains { other in
      other != index && log.calls[other].interval.invoked < call.answered
        && (log.calls[other].interval.answered > call.invoked)
    }
  }
}
