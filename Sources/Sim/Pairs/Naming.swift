import System

/// Names for the values that services choose: ids, tokens and times. Two runs choose different
/// ones, and use them in the same places.
struct Naming {
  private var names: [String: [JSONValue: String]] = [:]

  /// The value with a name for each id and token, in the order in which they are first seen.
  mutating func named(_ value: JSONValue) -> JSONValue {
    Self.replacing(value, of: "") { kind, value in
      let known = names[kind, default: [:]]
      if let name = known[value] { return name }
      let name = "\(kind) \(known.count + 1)"
      names[kind, default: [:]][value] = name
      return name
    }
  }

  /// The value without its ids and tokens.
  static func masked(_ value: JSONValue) -> JSONValue { replacing(value, of: "") { kind, _ in kind } }

  /// The value with `name` for each id and token. `field` is the name of the field that holds it.
  private static func replacing(
    _ value: JSONValue, of field: String, isGroup: Bool = false, _ name: (String, JSONValue) -> String
  ) -> JSONValue {
    switch value {
    case .object(let members):
      let isGroup = members.contains { $0.name == "is_group" && $0.value == true }
      return .object(
        members.map { .init($0.name, replacing($0.value, of: $0.name, isGroup: isGroup, name)) })
    case .array(let elements):
      return .array(elements.map { replacing($0, of: field, isGroup: isGroup, name) })
    case .string(let text):
      // When something happened differs, and two times may fall into one second or not.
      if isTime(text) { return "‹time›" }
      return .string(withoutDrawn(text) { name("token", .string($0)) })
    case .int:
      let kinds = ValueKind.all(of: field).filter(ValueKind.isAssigned)
      // A recipient is a user or a group.
      guard let kind = isGroup ? kinds.last : kinds.first else { return value }
      return .string("‹\(name(kind, value))›")
    case .null, .bool, .double: return value
    }
  }

  /// Whether a text is a time as services write it.
  private static func isTime(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    return bytes.count >= 20 && bytes[4] == UInt8(ascii: "-") && bytes[10] == UInt8(ascii: "T")
      && bytes.last == UInt8(ascii: "Z")
  }

  /// The shortest text that counts as drawn at random.
  private static let shortest = 16

  /// A text with names for those of its parts that look as if a service had drawn them at random: a
  /// session, a token, the local part of an address.
  private static func withoutDrawn(_ text: String, _ name: (String) -> String) -> String {
    guard text.utf8.count >= shortest else { return text }
    var result = ""
    var part: [UInt8] = []
    func end() {
      let word = String(decoding: part, as: UTF8.self)
      result += isDrawn(part) ? "‹\(name(word))›" : word
      part = []
    }
    for character in text {
      if let byte = character.asciiValue, isOfToken(byte) {
        part.append(byte)
      } else {
        end()
        result.append(character)
      }
    }
    end()
    return result
  }

  private static func isDrawn(_ part: [UInt8]) -> Bool {
    part.count >= shortest && part.contains { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
  }

  /// Whether a byte may be in a token: of hexadecimal digits, of Base64URL, or a JWT.
  private static func isOfToken(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
      UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
      true
    default: false
    }
  }
}
