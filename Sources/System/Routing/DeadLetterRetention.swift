import Environment

/// Removes the dead letters that the settings do not keep. The broker itself drops those whose
/// lifetime is over.
struct DeadLetterRetention: Sendable {
  /// The dead letters that one pass treats.
  static let maximumPass = 500

  let environment: Environment
  let broker: BrokerAddress
  let rule: Retention

  /// Treats a bounded number of letters.
  @Sendable func pass() async throws -> RetentionPasses.Pass {
    let tidied = try await QueueOperator.connected(environment, broker: broker) {
      try await $0.tidyDeadLetters(rule, limit: Self.maximumPass)
    }
    return RetentionPasses.Pass(removed: tidied.removed, mayHaveMore: tidied.isFull)
  }
}
