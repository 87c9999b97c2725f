/// The id of a user in the queues: an integer, or a string from a foreign User Server.
struct UserID: Hashable, Sendable {
  let json: JSONValue

  /// Returns nil for anything but an integer or a string of at most 255 bytes.
  init?(_ json: JSONValue?) {
    switch json {
    case .int?: self.json = json!
    case .string(let text)? where text.utf8.count <= ClientBounds.identifier: self.json = json!
    default: return nil
    }
  }

  /// The sender of the customer's messages in a transcript.
  static let customer = UserID("CUSTOMER")!

  /// The key in the database: the id as JSON text.
  var key: String { json.text }
}

/// The email that names a customer: 3 to 255 bytes with an `@`.
struct CustomerEmail: Hashable, Sendable {
  /// The email as the customer wrote it.
  let text: String

  /// Nil for anything else.
  init?(_ text: String) {
    guard (3...ClientBounds.identifier).contains(text.utf8.count), text.utf8.contains(UInt8(ascii: "@")) else {
      return nil
    }
    self.text = text
  }

  /// The form in which emails are compared, as in the User Service.
  var key: String { AccountName(text)?.key ?? text }
}

/// The number of users that a supervisor asks for.
enum UserCount: Hashable, Sendable {
  /// 1 to 1,000,000.
  case number(Int)
  /// All users that are free now.
  case all

  /// Reads `USER_COUNT`: 1 to 1,000,000, `"ALL"`, or 1 when it is missing. Returns nil for anything
  /// else.
  init?(_ json: JSONValue?) {
    switch json {
    case nil, .null?: self = .number(1)
    case .string(let text)? where text.hasSameBytes(as: "ALL"): self = .all
    case .int(let number)? where number > 0 && number <= ClientBounds.users: self = .number(Int(number))
    default: return nil
    }
  }

  var json: JSONValue {
    switch self {
    case .number(let number): .int(Int64(number))
    case .all: "ALL"
    }
  }

  /// Reads a stored count. An older version may have stored any number, so it is clamped.
  init(clamping json: JSONValue?) {
    guard let number = json?.int else {
      self = UserCount(json) ?? .number(1)
      return
    }
    self = .number(Int(min(max(number, 1), Int64(ClientBounds.users))))
  }
}
