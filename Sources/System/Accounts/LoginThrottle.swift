import Environment

/// Counts failed logins by account and by address, and says how long to wait before the next. In memory: a restart forgets
/// them, and an attacker who can restart the service needs no guessing.
struct LoginThrottle {
  struct Limits: Sendable {
    var perAccount = 10
    var perAddress = 100
    var window: Duration = .seconds(15 * 60)
  }

  /// Whose password is guessed.
  enum Account: Hashable, Sendable {
    /// An account, by its id: its email and its username share one count.
    case known(ExactText)
    /// A name that is nobody's, by the hash of its folded form: 16 bytes for a name of any length.
    case unknown(UInt64, UInt64)

    init(id: AccountID) { self = .known(ExactText(id.value)) }

    init(unknown name: AccountName) {
      let digest = Cryptography.sha256(Array(name.key.utf8))
      let word = { (range: Range<Int>) in digest[range].reduce(UInt64(0)) { $0 << 8 | UInt64($1) } }
      self = .unknown(word(0..<8), word(8..<16))
    }
  }

  private var accounts: RecentEvents<Account>
  private var addresses: RecentEvents<ClientAddress>

  init(_ limits: Limits) {
    accounts = RecentEvents(limit: limits.perAccount, window: limits.window)
    addresses = RecentEvents(limit: limits.perAddress, window: limits.window)
  }

  /// How long an address has to wait before its next attempt, or nil when it may try now, or is not known.
  mutating func wait(address: ClientAddress?, at now: Instant) -> Duration? {
    address.flatMap { addresses.wait($0, at: now) }
  }

  /// How long to wait before the next attempt for an account, or nil when it may be made now.
  mutating func wait(account: Account, at now: Instant) -> Duration? { accounts.wait(account, at: now) }

  /// A wrong password, or an unknown user.
  mutating func failed(account: Account, address: ClientAddress?, at now: Instant) {
    accounts.add(account, at: now)
    if let address { addresses.add(address, at: now) }
  }

  /// The right password: the account's failures no longer count.
  mutating func succeeded(account: Account) { accounts.forget(account) }
}
