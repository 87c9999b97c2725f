import Environment

/// Passwords, in the compute lane and in turns.
extension UserService {
  func hash(_ password: Password, in lane: HashingLane) async throws
    -> PasswordHash
  {
    let salt = environment.entropy.bytes(16)
    let rounds = options.passwordRounds
    return try await compute(rounds, lane) { PasswordHash(of: password, salt: salt, rounds: rounds) }
  }

  // Inlined, as each function that waits is two switches more.
  @inline(__always)
  func match(
    _ password: Password, _ hash: PasswordHash, in lane: HashingLane
  ) async throws -> PasswordHash.Match {
    let rounds = options.passwordRounds
    return try await compute(max(rounds, hash.rounds), lane) { hash.match(password, rounds: rounds) }
  }

  @inline(__always)
  private func compute<R: Sendable>(
    _ rounds: Int, _ lane: HashingLane, _ work: @escaping @Sendable () -> R
  ) async throws -> R {
    switch hashing.begin(rounds, in: lane) {
    case .start: break
    case .wait: await withUnsafeContinuation { hashing.enqueue($0, rounds, in: lane) }
    case .refuse:
      throw HTTPFailure(503, "too many passwords are being checked", fields: [("retry-after", "1")])
    }
    defer { for waiter in hashing.finish(rounds, in: lane) { waiter.resume() } }
    return try await environment.executor.offload(.compute, work)
  }
}
