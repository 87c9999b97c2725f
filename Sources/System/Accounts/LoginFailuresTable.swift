import Environment

/// The table `login_failures` on a server: the failed logins of each account, which all nodes count
/// together. A row has the times of the last failures, at most as many as are allowed.
///
/// The times are those of the clock of the node that has seen the failure.
struct LoginFailuresTable {
  private let connection: SQLSession
  private let limits: LoginThrottle.Limits

  init(_ connection: SQLSession, _ limits: LoginThrottle.Limits) {
    self.connection = connection
    self.limits = limits
  }

  /// Refuses an attempt if the account had too many failures.
  func admit(_ account: LoginThrottle.Account, at now: Timestamp) async throws {
    let text = try await connection.first(
      SQLText(postgreSQL: "SELECT times FROM login_failures WHERE account = $1"), .text(account.key)
    ) { $0.text(0) }
    if let text { try refuse(failures(in: text, at: now), at: now) }
  }

  /// Adds a failure. Refuses it instead if the account had too many: guesses that are made at once,
  /// on any nodes, learn no more than the same guesses one by one.
  func add(_ account: LoginThrottle.Account, at now: Timestamp) async throws {
    let text = try await connection.first(
      SQLText(
        postgreSQL: """
          INSERT INTO login_failures (account, times, last_failed) VALUES ($1, '', $2)
          ON CONFLICT (account) DO UPDATE SET last_failed = EXCLUDED.last_failed RETURNING times
          """), .text(account.key), .int(now.microseconds)
    ) { $0.text(0) }
    var times = failures(in: text ?? "", at: now)
    try refuse(times, at: now)
    times = Array((times + [now.microseconds]).suffix(limits.perAccount))
    try await connection.execute(
      SQLText(postgreSQL: "UPDATE login_failures SET times = $2 WHERE account = $1"), .text(account.key),
      .text(times.map(String.init).joined(separator: ",")))
  }

  /// Forgets the failures of an account after a right password. Refuses it if there were too many.
  func forget(_ account: LoginThrottle.Account, at now: Timestamp) async throws {
    let text = try await connection.first(
      SQLText(postgreSQL: "SELECT times FROM login_failures WHERE account = $1"), .text(account.key)
    ) { $0.text(0) }
    guard let text else { return }
    try refuse(failures(in: text, at: now), at: now)
    try await reset(account)
  }

  /// Forgets the failures of an account.
  func reset(_ account: LoginThrottle.Account) async throws(DatabaseError) {
    try await connection.execute(
      SQLText(postgreSQL: "DELETE FROM login_failures WHERE account = $1"), .text(account.key))
  }

  /// Removes the rows of accounts whose failures do not count any more.
  func sweep(at now: Timestamp) async throws(DatabaseError) {
    try await connection.execute(
      SQLText(postgreSQL: "DELETE FROM login_failures WHERE last_failed < $1"), .int(earliest(at: now)))
  }

  private func earliest(at now: Timestamp) -> Int64 { (now + .nanoseconds(-limits.window.nanoseconds)).microseconds }

  /// The failures that count, oldest first. One that is further ahead than they count was written
  /// under a wrong clock.
  private func failures(in text: String, at now: Timestamp) -> [Int64] {
    let (earliest, latest) = (earliest(at: now), (now + limits.window).microseconds)
    return text.utf8.split(separator: UInt8(ascii: ",")).compactMap { Int64(Substring($0)) }.filter {
      $0 > earliest && $0 < latest
    }
  }

  private func refuse(_ times: [Int64], at now: Timestamp) throws {
    guard times.count >= limits.perAccount else { return }
    let oldest = Timestamp(microseconds: times[times.count - limits.perAccount])
    throw AccountRefusal.tooMany(.failedLogins, retryAfter: min(limits.window, limits.window - (now - oldest)))
  }
}

extension LoginThrottle.Account {
  /// The key in the table, 65 characters at most.
  fileprivate var key: String {
    switch self {
    case .known(let id): "a\(id.text)"
    case .unknown(let high, let low): "u\(String(high, radix: 16)).\(String(low, radix: 16))"
    }
  }
}

/// Failed logins of nodes that share a database.
extension UserService {
  /// Refuses an attempt at an account that had too many failures.
  func admit(_ account: LoginThrottle.Account) async throws {
    guard database.isOnServer else { return try admit(account, nil) }
    let now = environment.clock.wallTime
    try await database.transaction { try await LoginFailuresTable($0, LoginThrottle.Limits()).admit(account, at: now) }
  }

  /// Counts an attempt, or refuses it after too many failures.
  func count(_ account: LoginThrottle.Account, _ address: ClientAddress?, isRight: Bool) async throws {
    guard database.isOnServer else {
      try admit(account, address)
      return noteAttempt(account, address, isRight: isRight)
    }
    try admit(nil, address)
    let now = environment.clock.wallTime
    try await database.transaction { session in
      let table = LoginFailuresTable(session, LoginThrottle.Limits())
      if isRight { try await table.forget(account, at: now) } else { try await table.add(account, at: now) }
    }
    if !isRight { noteAttempt(nil, address, isRight: false) }
    guard !isRight, mayForget(every: LoginThrottle.Limits().window) else { return }
    try await database.transaction { try await LoginFailuresTable($0, LoginThrottle.Limits()).sweep(at: now) }
  }
}
