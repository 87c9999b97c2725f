/// An IPv4 or IPv6 address.
///
/// An IPv4 address and its IPv4-mapped IPv6 form (`::ffff:1.2.3.4`, RFC 4291 §2.5.5.2) are equal,
/// since a listener on `::` sees the addresses of IPv4 clients in the mapped form.
public struct IPAddress: Hashable, Sendable, CustomStringConvertible {
  /// The upper and lower 64 bits of the IPv6 address. IPv4 addresses are in mapped form.
  package let high: UInt64
  package let low: UInt64

  private init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// Parses an IPv6 address in the forms of RFC 4291 §2.2, or an IPv4 address of four decimal
  /// numbers.
  ///
  /// Returns nil for numbers with leading zeros, which some parsers read as octal, and for
  /// addresses with a zone, which is valid on one machine only.
  public init?(_ text: some StringProtocol) {
    guard (2...Self.longest).contains(text.utf8.count) else { return nil }
    if !text.utf8.contains(UInt8(ascii: ":")) {
      guard let number = Self.dotted(text) else { return nil }
      self.init(high: 0, low: 0xFFFF << 32 | UInt64(number))
      return
    }
    guard let groups = Self.groups(of: text) else { return nil }
    let words = [groups[..<4], groups[4...]].map { $0.reduce(UInt64(0)) { $0 << 16 | UInt64($1) } }
    self.init(high: words[0], low: words[1])
  }

  /// The length of eight groups of four digits, with the last two written as an IPv4 address.
  private static let longest = 45

  /// Whether the address is an IPv4 address, also in mapped form.
  public var isIPv4: Bool { high == 0 && low >> 32 == 0xFFFF }
  /// Whether the address is in 127.0.0.0/8, or is `::1`.
  public var isLoopback: Bool { isIPv4 ? low >> 24 & 0xFF == 127 : high == 0 && low == 1 }

  /// The canonical text: dotted decimal for IPv4, the form of RFC 5952 for IPv6.
  public var description: String {
    if isIPv4 { return (0..<4).map { String(low >> UInt64(24 - 8 * $0) & 0xFF) }.joined(separator: ".") }
    let groups = (0..<8).map { UInt16(truncatingIfNeeded: ($0 < 4 ? high : low) >> UInt64(48 - 16 * ($0 % 4))) }
    var zeros = 0..<0
    var start = 0
    for (index, group) in groups.enumerated() {
      if group != 0 { start = index + 1 } else if index + 1 - start > zeros.count { zeros = start..<index + 1 }
    }
    func text(_ part: ArraySlice<UInt16>) -> String { part.map { String($0, radix: 16) }.joined(separator: ":") }
    if zeros.count < 2 { return text(groups[...]) }
    return text(groups[..<zeros.lowerBound]) + "::" + text(groups[zeros.upperBound...])
  }

  // MARK: Parsing

  /// Parses four decimal numbers, in one pass: limits by address parse one for each request.
  private static func dotted(_ text: some StringProtocol) -> UInt32? {
    var result: UInt32 = 0
    var (numbers, digits, value) = (0, 0, 0 as UInt32)
    for byte in text.utf8 {
      if byte == UInt8(ascii: "."), digits > 0, numbers < 3 {
        result = result << 8 | value
        (numbers, digits, value) = (numbers + 1, 0, 0)
        continue
      }
      guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte), digits == 0 || value > 0 else { return nil }
      digits += 1
      value = value * 10 + UInt32(byte - UInt8(ascii: "0"))
      guard value <= 255 else { return nil }
    }
    return numbers == 3 && digits > 0 ? result << 8 | value : nil
  }

  /// Parses a decimal number without a sign or leading zeros.
  fileprivate static func number(_ digits: some Collection<UInt8>, maximum: Int) -> Int? {
    guard (1...3).contains(digits.count), digits.first != UInt8(ascii: "0") || digits.count == 1 else { return nil }
    var value = 0
    for digit in digits {
      guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
      value = value * 10 + Int(digit - UInt8(ascii: "0"))
    }
    return value <= maximum ? value : nil
  }

  /// Parses the eight groups. `::` may appear once and stands for one or more groups of zeros.
  private static func groups(of text: some StringProtocol) -> [UInt16]? {
    let sides = String(text).split(separator: "::", omittingEmptySubsequences: false)
    guard sides.count <= 2, let front = groups(of: sides[0], mayEndDotted: sides.count == 1) else { return nil }
    if sides.count == 1 { return front.count == 8 ? front : nil }
    guard let back = groups(of: sides[1], mayEndDotted: true), front.count + back.count < 8 else { return nil }
    return front + [UInt16](repeating: 0, count: 8 - front.count - back.count) + back
  }

  private static func groups(of side: Substring, mayEndDotted: Bool) -> [UInt16]? {
    if side.isEmpty { return [] }
    var groups: [UInt16] = []
    let parts = side.split(separator: ":", omittingEmptySubsequences: false)
    for (index, part) in parts.enumerated() {
      if mayEndDotted, index == parts.count - 1, let number = dotted(part) {
        groups += [UInt16(number >> 16), UInt16(truncatingIfNeeded: number)]
        continue
      }
      guard (1...4).contains(part.utf8.count), part.first != "+", let group = UInt16(part, radix: 16) else {
        return nil
      }
      groups.append(group)
    }
    return groups
  }
}

/// A network, such as `10.0.0.0/8` or `2001:db8::/32`, or a single address.
public struct IPNetwork: Hashable, Sendable {
  private let base: IPAddress
  /// The length of the prefix in bits, of 128.
  private let length: Int

  /// Parses an address, or an address and the length of its prefix (RFC 4632 §3.1, RFC 4291 §2.3).
  /// Returns nil if the text is neither.
  public init?(_ text: some StringProtocol) {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let base = IPAddress(parts[0]) else { return nil }
    self.base = base
    let isDotted = !parts[0].utf8.contains(UInt8(ascii: ":"))
    guard parts.count > 1 else {
      length = 128
      return
    }
    guard let bits = IPAddress.number(parts[1].utf8, maximum: isDotted ? 32 : 128) else { return nil }
    length = isDotted ? bits + 96 : bits
  }

  /// Whether `address` is in the network.
  public func contains(_ address: IPAddress) -> Bool {
    func differs(_ a: UInt64, _ b: UInt64, in bits: Int) -> Bool { bits > 0 && (a ^ b) >> UInt64(64 - bits) != 0 }
    return !differs(address.high, base.high, in: min(length, 64))
      && !differs(address.low, base.low, in: max(0, length - 64))
  }
}
