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

  private let log: CallLog
  private let hasRestarts: Bool
  /// The logins that may count, by the username of the account in lower case.
  private var logins: [String: [Int]] = [:]
  /// The requests of operators that begin the count of an account anew, by its username in lower case,
  /// and those without an answer that names it.
  private var resets: [String: [Int]] = [:]
  private var unclearResets: [Int] = []
  private var attempts = 0

  init(_ log: CallLog, hasRestarts: Bool) {
    self.log = log
    self.hasRestarts = hasRestarts
    var names: [String: Set<String>] = [:]
    for call in log.calls where call.name == "POST /register" {
      guard let email = call.arguments["email"]?.string, let name = call.arguments["username"]?.string else { continue }
      names[email.lowercased(), default: []].insert(name.lowercased())
    }
    for (index, call) in log.calls.enumerated() where Self.isReset(call) {
      if call.status == 404 { continue }
      guard let name = call.answer["username"]?.string else {
        unclearResets.append(index)
        continue
      }
      if call.answer["dry_run"] != true { resets[name.lowercased(), default: []].append(index) }
    }
    for (index, call) in log.calls.enumerated() where call.name == "POST /login" {
      guard let user = (call.arguments["user"] ?? call.arguments["username"])?.string?.lowercased() else { continue }
      attempts += 1
      guard user.contains("@") else {
        logins[user, default: []].append(index)
        continue
      }
      // An email that was registered under several names is ambiguous.
      if let known = names[user], known.count == 1 { logins[known.first!, default: []].append(index) }
    }
  }

  private static func isReset(_ call: LoggedCall) -> Bool { call.name.hasPrefix("POST /operator/") }

  /// The first login that was let through after too many failures, or refused after too few.
  func breach() -> Breach? {
    for name in logins.keys.sorted() {
      let calls = logins[name]!
      // Only who guesses wrong ten times can be refused.
      guard calls.count > Self.limit else {
        guard attempts < Self.limitOfAddress, let refused = calls.first(where: { log.calls[$0].status == 429 }) else {
          continue
        }
        return Breach("a login is refused only after failures", [log.say(refused)])
      }
      if let breach = letThrough((calls + resets[name, default: []] + unclearResets).sorted()) { return breach }
    }
    return nil
  }

  private func letThrough(_ calls: [Int]) -> Breach? {
    if hasRestarts { return nil }
    for index in calls
    where !Self.isReset(log.calls[index]) && (log.calls[index].status == 200 || log.calls[index].status == 401) {
      let login = log.calls[index].interval
      var failures: [Int] = []
      for other in calls where log.calls[other].interval.invoked < login.answered && other != index {
        let (call, status) = (log.calls[other].interval, log.calls[other].status)
        if status == 200 || status == nil || status! >= 500 {
          // The count may begin anew with this one.
          failures.removeAll()
        } else if status == 401, call.answered < login.invoked, call.invokedAt > login.answeredAt - Self.window {
          failures.append(other)
        }
      }
      if failures.count > Self.limit, noSuccessOverlaps(failures, calls) {
        return Breach(
          "more than 10 failures in 15 minutes for one account are refused",
          failures.prefix(12).map(log.say) + ["and then \(log.say(index))"])
      }
    }
    return nil
  }

  /// Whether no login that may have succeeded was under way at one of the failures.
  private func noSuccessOverlaps(_ failures: [Int], _ calls: [Int]) -> Bool {
    let first = log.calls[failures[0]].interval
    return !calls.contains { index in
      let call = log.calls[index]
      guard call.status != 401, call.status != 429,
        call.interval.invoked < log.calls[failures.last!].interval.answered
      else { return false }
      return call.status == nil
        ? call.interval.invokedAt > first.invokedAt - Self.longest : call.interval.answered > first.invoked
    }
  }
}
