import Environment

/// What a server holds for its connections: parts of requests that are not whole, large bodies that are being answered,
/// answers that are not read. Used on the server's executor.
///
/// A request that comes in one piece, and an answer that is taken at once, are charged nothing. Everything else is charged
/// to a budget, of which one address may take a quarter: one client cannot use up what there is for all.
final class ConnectionMemory {
  /// Bytes that each connection may hold without a charge, so that a full budget refuses large requests only.
  static let allowance = 2048
  /// The part of a budget that one address may take.
  private static let share = 4

  private let budget: ByteBudget
  private let proxies: TrustedProxies
  private var byHost: [String: Int] = [:]

  init(_ budget: ByteBudget, proxies: TrustedProxies) {
    self.budget = budget
    self.proxies = proxies
  }

  /// What is charged for one connection.
  struct Charge {
    fileprivate(set) var bytes = 0
  }

  /// Changes the charge of a connection from `host` to `bytes`. False, with nothing changed, when that is too much.
  func hold(_ bytes: Int, for host: String, _ charge: inout Charge) -> Bool {
    let wanted = bytes > Self.allowance ? bytes : 0
    if wanted > charge.bytes {
      let more = wanted - charge.bytes
      let held = byHost[host] ?? 0
      // Many clients stand behind a proxy.
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

  /// Gives back all that is charged.
  func release(for host: String, _ charge: inout Charge) { _ = hold(0, for: host, &charge) }
}
