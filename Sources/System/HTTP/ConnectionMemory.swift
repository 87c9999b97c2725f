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
  private var byHost: [String: Int] = [:]

  init(_ budget: ByteBudget, proxies: TrustedProxies) {
    self.budget = budget
    self.proxies = proxies
  }

  /// The bytes charged for one connection.
  struct Charge {
    fileprivate(set) var bytes = 0
  }

  /// Changes the charge of a connection from `host` to `bytes`. Returns false, and changes nothing,
  /// if that exceeds the budget or the share of the host.
  func hold(_ bytes: Int, for host: String, _ charge: inout Charge) -> Bool {
    let wanted = bytes > Self.allowance ? bytes : 0
    if wanted > charge.bytes {
      let more = wanted - charge.bytes
      let held = byHost[host] ?? 0
      // A proxy carries the requests of many clients.
      let limit = proxies.trusts(host) ? budget.limit : budget.limit / Self.share
      guard more <= limit - held, budget.charge(more) else { return false }
      byHost[host] = held + more
    } else if wanted < charge.bytes {
      let less = charge.bytes - wanted
      budget.release(less)
      let held = (byHost[host] ?? 0) - less
      byHost[host] = held > 0 ? held : nil
    }
    charge.bytes = wanted
    return true
  }

  /// Releases the whole charge.
  func release(for host: String, _ charge: inout Charge) { _ = hold(0, for: host, &charge) }
}
