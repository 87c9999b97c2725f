import Simulation
import System

/// The source of the choices of an attack: a stream of the seed, or the bytes of a fuzzer's input.
protocol AttackSource: AnyObject {
  /// A number from 0 to `bound` - 1.
  func number(below bound: Int) -> Int
}

extension ChoiceStream: AttackSource {
  func number(below bound: Int) -> Int { choose(bound) }
}

extension AttackSource {
  func pick<Element>(_ elements: [Element]) -> Element { elements[number(below: elements.count)] }

  /// The usual value; once in 24 a rare one, which ends most conversations.
  func mostly<Element>(_ usual: Element, _ rare: [Element]) -> Element { once(in: 24) ? pick(rare) : usual }

  /// True once in `count`.
  func once(in count: Int) -> Bool { number(below: count) == count - 1 }
}

/// The identity of an attacker: its name and an ordinary client's credentials.
struct AttackPersona: Sendable {
  /// The prefix of the names of everything that the attacker creates.
  let name: String
  /// Whether there are no other users. Otherwise the attacker leaves alone what a trusted client
  /// may take from others: the pool of users and the queues of the services.
  var isAlone = false
  var accessToken = "none"
  var refreshToken = "none"
  var sessionID = "none"
  var userID: Int64 = 0

  var email: String { name + "@example.com" }
  var password: String { "password of \(name)" }
}

/// The messages of an attacker.  Each value is chosen from a table of limits, values one beyond a
/// limit, and extremes. The role `attacker` and the fuzz targets of conversations share the
/// grammar.
struct AttackGrammar {
  let source: any AttackSource
  var persona: AttackPersona

  // MARK: Values

  /// The limits of the contract, one beyond each, and the ends of the integer types.
  static let integers: [Int64] = [
    0, 1, -1, 2, 50, 64, 65, 127, 128, 255, 256, 65_535, 65_536, 1_000_000, 1_000_001, 2_147_483_647, 2_147_483_648,
    4_294_967_295, 4_294_967_296, 9_007_199_254_740_993, .max - 1, .max, .min, .min + 1,
  ]

  /// Texts at the bounds of names, and difficult Unicode.
  func text() -> String {
    switch source.number(below: 12) {
    case 0: ""
    case 1: "a"
    case 2: persona.name
    case 3: String(repeating: "a", count: source.pick([64, 65, 127, 128, 129, 150, 151, 254, 255, 256, 1024, 1025]))
    case 4: String(repeating: "é", count: source.pick([127, 128, 300]))
    case 5: "a" + String(repeating: "\u{301}\u{323}", count: source.pick([1, 30, 60, 2000]))
    case 6: source.pick(["\u{0}", "\u{1e}", "\r\n", "\u{7f}", "\u{fffd}", "\u{202e}", "\u{feff}"])
    case 7: source.pick(["a\u{200d}b", "ن\u{200c}م", "ΝΙΚΟΣ", "STRASSE", "İ", "ﬃ", "\u{1f468}\u{200d}\u{1f469}"])
    case 8: source.pick(["a@b", "@", "a@", "\"a b\"@c.example", "a@[::1]", "a@xn--", "%00", "../../x", "*.#"])
    case 9: "\(source.pick(Self.integers))"
    case 10: source.pick(["null", "true", "NaN", "-0", "1e999", "18446744073709551616", "0x10", "ALL"])
    default: persona.name + "-\(source.number(below: 4))"
    }
  }

  /// JSON as text, which may be malformed.
  func json(depth: Int = 0) -> String {
    switch source.number(below: depth < 3 ? 13 : 9) {
    case 0: "null"
    case 1: "true"
    case 2, 3: "\(source.pick(Self.integers))"
    case 4: source.pick(["1.5", "-0.0", "1e308", "1e-400", "18446744073709551616", "1e19", "-9223372036854775809"])
    case 5, 6: Self.quoted(text())
    case 7:
      source.pick(["\"\\ud800\"", "\"\\udc00x\"", "\"\\u0000\"", "\"\\u202e\"", "\"\\x\"", "\"", "nul", "[", "{"])
    case 8: source.pick(["[]", "{}", "{\"\":0}", "{\"a\":1,\"a\":2}"])
    case 9: "[\(json(depth: depth + 1)),\(json(depth: depth + 1))]"
    case 10: "{\"a\":\(json(depth: depth + 1)),\(Self.quoted(text())):\(json(depth: depth + 1))}"
    case 11:
      // Depths around the limit. A service wraps an accepted value again further in.
      nested(source.pick([2, 60, 61, 62, 63, 64, 65, 1000]))
    default: "[" + Array(repeating: "0", count: source.pick([100, 1000])).joined(separator: ",") + "]"
    }
  }

  private func nested(_ depth: Int) -> String {
    source.once(in: 2)
      ? String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
      : String(repeating: "{\"a\":", count: depth) + "0" + String(repeating: "}", count: depth)
  }

  static func quoted(_ text: String) -> String { JSONValue.string(text).text }

  /// An object with these members. Most have the expected value; some have another one, are missing
  /// or are there twice.
  func object(_ members: [(name: String, value: String)]) -> String {
    var parts: [String] = []
    for member in members {
      switch source.number(below: 12) {
      case 0: parts.append("\(Self.quoted(member.name)):\(json())")
      case 1: parts.append("\(Self.quoted(member.name)):\(Self.quoted(text()))")
      case 2: continue
      case 3: parts += [String](repeating: "\(Self.quoted(member.name)):\(member.value)", count: source.pick([1, 2]))
      default: parts.append("\(Self.quoted(member.name)):\(member.value)")
      }
    }
    return "{" + parts.joined(separator: ",") + "}"
  }

  // MARK: Bytes

  /// The bytes, mostly unchanged; else cut off, with one byte changed or missing, or twice.
  func mangled(_ bytes: [UInt8]) -> [UInt8] {
    guard !bytes.isEmpty else { return bytes }
    switch source.number(below: 32) {
    case 0: return Array(bytes.prefix(source.number(below: bytes.count)))
    case 1:
      var changed = bytes
      changed[source.number(below: bytes.count)] = source.pick([0, 1, 0x7F, 0x80, 0xFF, 0x0A, 0x20, 0xCE])
      return changed
    case 2: return bytes + bytes
    case 3:
      var shorter = bytes
      shorter.remove(at: source.number(below: bytes.count))
      return shorter
    default: return bytes
    }
  }
}

extension [UInt8] {
  mutating func append(big number: some FixedWidthInteger) {
    for shift in stride(from: number.bitWidth - 8, through: 0, by: -8) {
      append(UInt8(truncatingIfNeeded: number >> shift))
    }
  }
}
