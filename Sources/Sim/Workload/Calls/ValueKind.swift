import System

/// The kinds of values that callers remember: names and numbers of things. A kind is the name of a
/// field in lower case, without separators: `sessionID` and `session_id` are one kind.
enum ValueKind {
  static let accessToken = "accesstoken"
  static let session = "sessionid"
  /// Passwords are not remembered: all accounts of callers have the same one.
  static let password = "password"

  /// Fields with other names for the same things.
  private static let synonyms: [String: [String]] = [
    "contact": ["username"], "contactusername": ["username"], "senderusername": ["username"],
    "member": ["username"], "members": ["username"], "user": ["username", "email"],
    "senderid": ["userid"], "recipientid": ["userid", "groupid"], "listuserid": ["userid"], "from": ["userid"],
    "before": ["seq"], "after": ["seq"], "token": [accessToken],
  ]

  /// Endings of the names of fields that name something.
  private static let endings = ["id", "token", "name", "email", "seq", "host", "epoch", "connection", "queue"]

  private static func bare(_ name: String) -> String { name.lowercased().filter { $0 != "_" && $0 != "-" } }

  /// The kinds that a field of this name may hold; none for a field that names nothing.
  static func all(of name: String) -> [String] {
    let bare = bare(name)
    return synonyms[bare] ?? (endings.contains { bare.hasSuffix($0) } ? [bare] : [])
  }

  /// Whether a field of this name holds a password.
  static func isPassword(_ name: String) -> Bool { bare(name).hasSuffix(password) }

  /// Whether a service assigns the values of a kind. Clients choose the others.
  static func isAssigned(_ kind: String) -> Bool {
    kind.hasSuffix("token") || kind.hasSuffix("id") && kind != "clientid"
  }

  /// Whether a value opens something and ends: a session or a token.
  static func isPass(_ kind: String) -> Bool { kind.hasSuffix("token") || kind == session }

  /// The kinds of all fields of a shape.
  static func all(in schema: Schema) -> [String] {
    switch schema {
    case .object(let fields): fields.flatMap { all(of: $0.name) + all(in: $0.schema) }
    case .array(let element, _): all(in: element)
    case .either(let shapes, _): shapes.flatMap(all(in:))
    case .string, .integer, .boolean, .any: []
    }
  }
}
