/// The exchanges of a client as a model: which bindings a publication fits.
///
/// The rules are those of AMQP 0-9-1 §3.1.3, and RabbitMQ's for headers exchanges.
enum RoutingModel {
  enum Kind: String, CaseIterable, Sendable {
    case direct, fanout, topic, headers
  }

  /// A header of a message, or one that a binding asks for.
  struct Header: Equatable, Sendable {
    let name: String
    /// Nil in a binding stands for any value.
    let value: Int64?
  }

  /// How many of its headers a binding asks for.
  enum Match: String, Sendable {
    case all
    case any
    /// The same for headers whose names begin with `x-`, which the others pass over.
    case allWithX = "all-with-x"
    case anyWithX = "any-with-x"

    var needsAll: Bool { self == .all || self == .allWithX }
    var readsAll: Bool { self == .allWithX || self == .anyWithX }
  }

  struct Binding: Sendable {
    let exchange: Kind
    var key = ""
    var headers: [Header] = []
    /// Without one, all headers have to be there.
    var match: Match?
  }

  /// What a publication names.
  struct Address: Sendable {
    let exchange: Kind
    var key = ""
    var headers: [Header] = []
  }

  private static let (one, two, other, any) = (
    Header(name: "h", value: 1), Header(name: "k", value: 2), Header(name: "h", value: 3), Header(name: "h", value: nil)
  )
  private static let extra = Header(name: "x-h", value: 1)

  /// The bindings that a client makes: of each rule, some that a message fits and some that it does
  /// not.
  static let bindings: [Binding] =
    [
      Binding(exchange: .direct, key: "a"), Binding(exchange: .direct, key: "b"),
      // Bindings that differ in their arguments are different bindings.
      Binding(exchange: .direct, key: "a", headers: [one]), Binding(exchange: .fanout),
      Binding(exchange: .fanout, key: "a"),
    ]
    + ["a", "a.b", "a.*", "*.b", "*", "*.*", "#", "a.#", "#.b", "a.#.b", "#.*", "a.*.#"].map {
      Binding(exchange: .topic, key: $0)
    }
    + [
      ([one, two], nil), ([one, two], .all), ([one, two], .any), ([], nil), ([], .any), ([any], .all),
      ([one, extra], .all),
      ([extra], .any), ([extra, one], .allWithX), ([extra, two], .anyWithX),
    ]
    .map { Binding(exchange: .headers, headers: $0.0, match: $0.1) }

  /// What the publications of a client name.
  static let addresses: [Address] =
    ["a", "b", "c"].map { Address(exchange: .direct, key: $0) } + [Address(exchange: .fanout, key: "a")]
    + ["a", "b", "a.b", "a.c.b", "a.b.c", "", "a.", ".b"].map { Address(exchange: .topic, key: $0) }
    + [[], [one], [two], [one, two], [other, two], [other], [extra], [extra, one]].map {
      Address(exchange: .headers, headers: $0)
    }

  /// Whether a message with an address goes where a binding leads.
  static func fits(_ binding: Binding, _ address: Address) -> Bool {
    guard binding.exchange == address.exchange else { return false }
    switch binding.exchange {
    case .direct: return binding.key == address.key
    case .fanout: return true
    case .topic: return fits(words(binding.key)[...], words(address.key)[...])
    case .headers:
      let match = binding.match ?? .all
      let wanted = binding.headers.filter { match.readsAll || !$0.name.hasPrefix("x-") }
      func isThere(_ header: Header) -> Bool {
        address.headers.contains { $0.name == header.name && (header.value == nil || $0.value == header.value) }
      }
      return match.needsAll ? wanted.allSatisfy(isThere) : wanted.contains(where: isThere)
    }
  }

  /// An empty key has no words.
  private static func words(_ key: String) -> [Substring] {
    key.isEmpty ? [] : key.split(separator: ".", omittingEmptySubsequences: false)
  }

  /// `*` stands for one word, `#` for any number of words. The words are those of the tables above.
  private static func fits(_ pattern: ArraySlice<Substring>, _ words: ArraySlice<Substring>) -> Bool {
    guard let first = pattern.first else { return words.isEmpty }
    let rest = pattern.dropFirst()
    if first == "#" { return fits(rest, words) || !words.isEmpty && fits(pattern, words.dropFirst()) }
    guard let word = words.first, first == "*" || first == word else { return false }
    return fits(rest, words.dropFirst())
  }
}
