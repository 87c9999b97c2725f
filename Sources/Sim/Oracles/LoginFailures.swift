import System

/// The failed logins of each account, by which further ones are refused.
///
/// A right password begins the count anew. A restart of the User Service forgets it, so a run with
/// one is judged only for refusals without a reason.
struct LoginFailures {
  /// Failures of one account after which a login is refused.
  private static let limit = 10
  /// Failures from one address after which every login is refused.
  private static let limitOfAddress = 100
  /// The time for which a failure counts, in nanoseconds.
  private static let window: Int64 = 900_000_000_000

  /// The time in which a login without an answer takes effect, in nanoseconds.
  private static let longest: Int64 = 120_000_000_000

  private enum Outcome { case success, failure, refused, unknown }

  /// The logins of all names that may stand for one account.
  private struct Account {
    /// The usernames and the emails, in lower case.
    var names: Set<String> = []
    /// The indices of the logins in the log.
    var logins: [Int] = []
  }

  private let log: CallLog
  private let identities: Identities
  private let hasRestarts: Bool
  private var accounts: [Account] = []
  private var outcomes: [Int: Outcome] = [:]

  init(_ log: CallLog, _ identities: Identities, hasRestarts: Bool) {
    self.log = log
    self.identities = identities
    self.hasRestarts = hasRestarts
    var places: [String: Int] = [:]
    for email in identities.emails.keys.sorted() { join(identities.emails[email]!.union([email]), &places) }
    for (index, call) in log.calls.enumerated() where !call.isMalformed {
      guard let login = Self.login(call) else { continue }
      join([login.name], &places)
      accounts[places[login.name]!].logins.append(index)
      outcomes[index] = login.outcome
    }
  }

  /// Notes that names may stand for one account.
  private mutating func join(_ names: Set<String>, _ places: inout [String: Int]) {
    var place: Int?
    for name in names.sorted() {
      guard let other = places[name] else { continue }
      guard let first = place else {
        place = other
        continue
      }
      guard other != first else { continue }
      for moved in accounts[other].names { places[moved] = first }
      accounts[first].names.formUnion(accounts[other].names)
      accounts[other].names = []
    }
    if place == nil { accounts.append(Account()) }
    for name in names { places[name] = place ?? accounts.count - 1 }
    accounts[place ?? accounts.count - 1].names.formUnion(names)
  }

  /// The name in a request that has a password checked, and the outcome; nil for another request.
  private static func login(_ call: LoggedCall) -> (name: String, outcome: Outcome)? {
    guard case .http(let node) = call.way, !call.isForServicesOnly else { return nil }
    let (field, isRight, isWrong): (String, Bool, Bool)
    switch (node, call.name) {
    case (Scenario.usersNode, "POST /login"), (Scenario.usersNode, "POST /services/login"):
      (field, isRight, isWrong) = ("user", call.status == 200, call.status == 401)
    case (Scenario.chatNode, "POST /login"), (Scenario.chatNode, "GET /login"):
      (field, isRight, isWrong) = ("username", call.status == 200, call.status == 401)
    case (Scenario.usersNode, "POST /check_node"):
      let code = call.answer["MESSAGE"]
      (field, isRight, isWrong) = ("EMAIL", code == "REGISTERED", code == "NOT_REGISTERED")
    case (Scenario.customersNode, "POST /requestSessionCreation"):
      let isRunning = call.answer["MESSAGE"] == "SESSION_ALREADY_RUNNING"
      (field, isRight, isWrong) = ("EMAIL", call.status == 200 || isRunning, call.status == 401)
    default: return nil
    }
    guard let name = call.arguments[field]?.string?.lowercased() else { return nil }
    if call.status == 429 { return (name, .refused) }
    return (name, isRight ? .success : isWrong ? .failure : .unknown)
  }

  /// The first login that was let through after too many failures, or refused after too few.
  func breach() -> Breach? {
    let attempts = accounts.reduce(0) { $0 + $1.logins.count }
    for account in accounts where !account.names.isEmpty {
      let logins = account.logins.sorted()
      // Only who guesses wrong ten times can be refused.
      guard logins.count > Self.limit else {
        guard attempts < Self.limitOfAddress, let refused = logins.first(where: { outcomes[$0] == .refused }) else {
          continue
        }
        return Breach("a login is refused only after failures", [log.say(refused)])
      }
      if !hasRestarts, let breach = letThrough(logins, from: beginning(of: account)) { return breach }
    }
    return nil
  }

  /// The position from which on all logins count for the same account; nil if that is not certain.
  /// A name without an account has a count of its own.
  private func beginning(of account: Account) -> Int? {
    let usernames = account.names.filter { !$0.contains("@") }
    // An operator begins the count anew.
    guard usernames.isDisjoint(with: identities.deletedNames), !identities.mayBeOperated(account.names),
      usernames.count <= 1,
      account.names.count - usernames.count <= 1
    else { return nil }
    if let name = usernames.first, let registered = identities.existing[name] { return registered }
    let isNobody =
      account.names.count == 1
      && !log.calls.contains { call in
        call.name.hasSuffix("/register")
          && account.names.contains((call.arguments["username"] ?? .null).string?.lowercased() ?? "")
      }
    return isNobody ? 0 : nil
  }

  private func letThrough(_ logins: [Int], from beginning: Int?) -> Breach? {
    guard let beginning else { return nil }
    for index in logins where outcomes[index] == .success || outcomes[index] == .failure {
      let login = log.calls[index].interval
      var failures: [Int] = []
      for other in logins where log.calls[other].interval.invoked < login.answered && other != index {
        let (call, outcome) = (log.calls[other].interval, outcomes[other])
        if outcome == .success || outcome == .unknown {
          // The count may begin anew with this one.
          failures.removeAll()
        } else if outcome == .failure, call.answered < login.invoked, call.invoked > beginning,
          call.invokedAt > login.answeredAt - Self.window
        {
          failures.append(other)
        }
      }
      if failures.count > Self.limit, noSuccessOverlaps(failures, logins) {
        return Breach(
          "more than 10 failures in 15 minutes for one account are refused",
          failures.prefix(12).map(log.say) + ["and then \(log.say(index))"])
      }
    }
    return nil
  }

  /// Whether no login that may have succeeded was under way at one of the failures.
  private func noSuccessOverlaps(_ failures: [Int], _ logins: [Int]) -> Bool {
    let first = log.calls[failures[0]].interval
    return !logins.contains { index in
      let call = log.calls[index]
      guard outcomes[index] != .failure, outcomes[index] != .refused,
        call.interval.invoked < log.calls[failures.last!].interval.answered
      else { return false }
      return call.status == nil
        ? call.interval.invokedAt > first.invokedAt - Self.longest : call.interval.answered > first.invoked
    }
  }
}

extension LoggedCall {
  /// Whether the request was refused because it lacks the service token. Its password was not
  /// checked.
  fileprivate var isForServicesOnly: Bool {
    status == 401 && answer["detail"]?.string?.hasPrefix("for services only") == true
  }
}
