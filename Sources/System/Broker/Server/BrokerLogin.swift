/// The mechanisms of SASL that the broker serves, as RabbitMQ does: PLAIN (RFC 4616), and AMQPLAIN,
/// whose response is a field table without its size.
enum BrokerLogin: String, CaseIterable {
  case plain = "PLAIN"
  case amqplain = "AMQPLAIN"

  /// The names of all mechanisms, as `connection.start` lists them.
  static var names: String { allCases.map(\.rawValue).joined(separator: " ") }

  /// The user as which operators log in.
  static let operators = "operator"

  /// Checks a SASL response and returns its user. With a service token, `parley` logs in with it
  /// from anywhere, and `operator` with the operators' token. Without one, `guest` logs in with
  /// `guest`, over loopback alone. A client whose certificate is of an authority of services logs
  /// in as `guest` from anywhere.
  /// - Throws: `AMQPError` 403.
  func user(
    _ response: [UInt8], serviceToken: String?, operatorToken: String? = nil, isLoopback: Bool,
    isAuthenticated: Bool = false
  ) throws(AMQPError) -> String {
    let refusal = AMQPError(
      403, "ACCESS_REFUSED - Login was refused using authentication mechanism \(rawValue)")
    guard let (name, secret) = credentials(response) else { throw refusal }
    if let operatorToken, name.elementsEqual(Self.operators.utf8) {
      guard Cryptography.constantTimeEqual(operatorToken.utf8, secret) else { throw refusal }
      return Self.operators
    }
    let isGuest = isAuthenticated && name.elementsEqual("guest".utf8)
    let (user, password) =
      if let serviceToken, !isGuest { ("parley", serviceToken) } else { ("guest", "guest") }
    let isRight = Cryptography.constantTimeEqual(password.utf8, secret)
    guard name.elementsEqual(user.utf8), isRight, serviceToken != nil || isLoopback || isAuthenticated else {
      throw refusal
    }
    return user
  }

  private func credentials(_ response: [UInt8]) -> (user: ArraySlice<UInt8>, password: ArraySlice<UInt8>)? {
    switch self {
    case .plain:
      let parts = response.split(separator: 0, maxSplits: 2, omittingEmptySubsequences: false)
      return parts.count == 3 ? (parts[1], parts[2]) : nil
    case .amqplain:
      var writer = AMQPWriter()
      writer.longString(response)
      var reader = AMQPReader(writer.bytes[...])
      guard let table = try? reader.table(), case .string(let user)? = table["LOGIN"],
        case .string(let password)? = table["PASSWORD"]
      else { return nil }
      return (user[...], password[...])
    }
  }
}
