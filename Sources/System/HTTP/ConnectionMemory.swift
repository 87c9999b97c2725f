import Environment

/// The memory that a server holds for its connections: incomplete requests, large bodies, and
/// answers that clients do not read. Used on the server's executor only.
///
/// A request that arrives in one piece and an answer that is written at once cost nothing.
/// Everything else is charged to a budget. One address may use a quarter of it, so that one client
/// cannot exhaust it.
final class ConnectionMemory {
  /// Bytes that each connection may hold without a charge. A full budget so refuses large requests
  /// only.
  static let allowance = 2048
  /// One address may use this part of the budget: a quarter.
  private static let share = 4

  private let budget: ByteBudget
  private let proxies: TrustedProxies
  /// The shares of hosts that hold something.
  private var byHost: [String: ByteBudget] = [:]

  init(_ budget: ByteBudget, proxies: TrustedProxies) {
    self.budget = budget
    self.proxies = proxies
  }

  /// Changes the charge of a connection from `host` to `bytes`. Returns false, and changes nothing,
  /// if that exceeds the budget or the share of the host.
  func hold(_ bytes: Int, for host: String, _ holding: inout Holding) -> Bool {
    let wanted = bytes > Self.allowance ? bytes : 0
    if wanted == holding.bytes { return true }
    let share = byHost[host] ?? makeShare(of: host)
    let isHeld = holding.set(wanted, of: share)
    byHost[host] = share.used > 0 ? share : nil
    return isHeld
  }

  private func makeShare(of host: String) -> ByteBudget {
    // A proxy carries the requests of many clients.
    ByteBudget(limit: proxies.trusts(host) ? budget.limit : budget.limit / Self.share, parent: budget)
  }

  /// Releases the whole charge.
  func release(for host: String, _ holding: inout Holding) { _ = hold(0, for: host, &holding) }
}
