/// SASL PLAIN (RFC 4616), the only mechanism that the broker serves.
enum BrokerLogin {
  /// Checks a SASL response and returns its user. With a service token, `parley` logs in with it from
  /// anywhere. Without one, `guest` logs in with `guest`, over loopback alone.
  /// - Throws: `AMQPError` 403.
  static func user(_ response: [UInt8], serviceToken: String?, isLoopback: Bool) throws(AMQPError) -> String {
    let refusal = AMQPError(403, "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN")
    let parts = response.split(separator: 0, maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3 else { throw refusal }
    let (user, password) = if let serviceToken { ("parley", serviceToken) } else { ("guest", "guest") }
    let isRight = Cryptography.constantTimeEqual(password.utf8, parts[2])
    guard parts[1].elementsEqual(user.utf8), isRight, serviceToken != nil || isLoopback else { throw refusal }
    return user
  }
}
