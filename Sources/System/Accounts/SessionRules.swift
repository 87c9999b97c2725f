import Environment

/// The lifetime of sessions, and the number that a user may have.
struct SessionRules: Sendable {
  /// A session ends when it was unused for this long; zero for never.
  let lifetime: Duration
  /// Sessions of one user.
  let maximum: Int

  /// The minimum time between two recorded uses of a session, so that a session in constant use
  /// costs few commits. A session may live for up to this much longer than its lifetime, and never
  /// shorter.
  var precision: Duration { min(.seconds(3600), lifetime / 4) }

  /// The earliest last use of a session that is still live, in milliseconds since the epoch.
  func earliestUse(at now: Timestamp) -> Int64 {
    lifetime == .zero ? .min : (now + (.zero - lifetime - precision)).milliseconds
  }
}

/// The id of a session that a user adds: 1 to 64 visible ASCII characters, unique across users.
struct UserSessionID: Hashable, Sendable {
  let value: String

  /// Reads an id from a request; nil if it is not valid.
  init?(_ value: String) {
    let bytes = value.utf8.span
    guard (1...64).contains(bytes.count), bytes.allSatisfy(in: 0..<bytes.count, { $0 > 0x20 && $0 < 0x7F }) else {
      return nil
    }
    self.value = value
  }

  /// Takes an id as the table has it.
  init(stored value: String) { self.value = value }
}

extension Timestamp {
  /// Milliseconds since the epoch.
  var milliseconds: Int64 { microseconds / 1000 }
}
