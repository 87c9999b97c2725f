import Environment

/// Limits failed logins by account and by address. The counts are in memory: a restart forgets
/// them, but an attacker who can restart the service needs no guessing. Nodes that share a database
/// count the failures of an account in a table (`LoginFailuresTable`).
struct LoginThrottle {
  struct Limits: Sendable {
    var perAccount = 10
    var perAddress = 100
    var window: Duration = .seconds(15 * 60)
  }

  /// The account whose password is tried.
  enum Account: Hashable, Sendable {
    /// An account by its id, so that its email and its username share one count.
    case known(ExactText)
    /// A name without an account, by 16 bytes of the hash of its folded form.
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

  /// Returns the time until an address may try again, or nil if it may now or is not known.
  mutating func wait(address: ClientAddress?, at now: Instant) -> Duration? {
    address.flatMap { addresses.wait($0, at: now) }
  }

  /// Returns the time until the next attempt for an account, or nil if it may be made now.
  mutating func wait(account: Account, at now: Instant) -> Duration? { accounts.wait(account, at: now) }

  /// Counts a wrong password or an unknown name. Failures of an account that a table counts are
  /// nil.
  mutating func failed(account: Account?, address: ClientAddress?, at now: Instant) {
    if let account { accounts.add(account, at: now) }
    if let address { addresses.add(address, at: now) }
  }

  /// Resets the count of an account after a right password.
  mutating func succeeded(account: Account) { accounts.forget(account) }
}
