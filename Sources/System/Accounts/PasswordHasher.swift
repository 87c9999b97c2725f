import Environment

/// Hashes passwords in the compute lane, in the order of a `HashingQueue`. One actor owns it.
final class PasswordHasher {
  private let environment: Environment
  /// The rounds of PBKDF2 for new passwords.
  private let rounds: Int
  private var queue = HashingQueue<UnsafeContinuation<Void, Never>>()

  init(_ environment: Environment, rounds: Int) {
    self.environment = environment
    self.rounds = rounds
  }

  /// Hashes a password with a new salt.
  /// - Throws: `AccountRefusal.tooManyPasswords`.
  func hash(_ password: Password, in lane: HashingLane) async throws -> PasswordHash {
    let salt = environment.entropy.bytes(16)
    return try await compute(rounds, lane) { [rounds] in PasswordHash(of: password, salt: salt, rounds: rounds) }
  }

  /// Compares a password with a stored hash; nil stands for an account that does not exist, and
  /// takes as long.
  /// - Throws: `AccountRefusal.tooManyPasswords`.
  func match(
    _ password: Password, _ stored: PasswordHash?, in lane: HashingLane
  ) async throws -> PasswordHash.Match {
    let hash = stored ?? .decoy(rounds: rounds)
    return try await compute(max(rounds, hash.rounds), lane) { [rounds] in hash.match(password, rounds: rounds) }
  }

  private func compute<R: Sendable>(
    _ rounds: Int, _ lane: HashingLane, _ work: @escaping @Sendable () -> R
  ) async throws -> R {
    switch queue.begin(rounds, in: lane) {
    case .start: break
    case .wait: await withUnsafeContinuation { queue.enqueue($0, rounds, in: lane) }
    case .refuse: throw AccountRefusal.tooManyPasswords
    }
    defer { for waiter in queue.finish(rounds, in: lane) { waiter.resume() } }
    return try await environment.executor.offload(.compute, work)
  }
}
