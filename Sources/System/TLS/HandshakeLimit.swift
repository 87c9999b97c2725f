import Environment
import Synchronization

/// Bounds the handshakes that are under way at a node, in all and for each host, and counts them.
///
/// A handshake costs the server memory before anything is known of the client. One that exceeds the
/// bounds is reset at once.
final class HandshakeLimit: Sendable {
  /// Bytes that are charged for a handshake: what OpenSSL holds for it, rounded up.
  static let bytes = 48 << 10
  /// Bytes of all handshakes that are under way.
  static let total = 2048 * bytes
  /// Bytes of the handshakes that are under way with one host: a quarter.
  static let share = total / 4

  /// The results of handshakes.
  struct Counts: Sendable {
    var completed = 0
    var failed = 0
    /// Refused since too many were under way.
    var refused = 0
  }

  private struct State {
    var byHost: [String: ByteBudget] = [:]
    var counts = Counts()
  }

  private let budget = ByteBudget(limit: total)
  private let state = Mutex(State())

  /// The results so far.
  var counts: Counts { state.withLock { $0.counts } }

  /// Charges a handshake with `host`. Returns false, and charges nothing, if too many are under
  /// way.
  func begin(with host: String) -> Bool {
    state.withLock { state in
      let share = state.byHost[host] ?? ByteBudget(limit: Self.share, parent: budget)
      guard share.charge(Self.bytes) else {
        state.counts.refused += 1
        return false
      }
      state.byHost[host] = share
      return true
    }
  }

  /// Releases a handshake that `begin` has charged.
  func end(with host: String, isCompleted: Bool) {
    state.withLock { state in
      if isCompleted { state.counts.completed += 1 } else { state.counts.failed += 1 }
      guard let share = state.byHost[host] else { return require(false, "a handshake ends that did not begin") }
      share.release(Self.bytes)
      if share.used == 0 { state.byHost[host] = nil }
    }
  }
}
