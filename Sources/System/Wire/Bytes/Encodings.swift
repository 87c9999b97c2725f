/// Lower-case hexadecimal.
public enum Hex {
  /// Returns the digit of a value below 16.
  @inline(__always)
  static func digit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x57 + value }

  /// Returns two digits for each byte.
  public static func encode(_ bytes: some Collection<UInt8>) -> String {
    String(expecting: 64) { $0.append(hex: bytes) }
  }

  /// Decodes ASCII text; nil unless it is an even number of hexadecimal digits of either case.
  public static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
    // Contiguous bytes are read without the collection's indices.
    text.withContiguousStorageIfAvailable { decode($0.span) } ?? decode(Array(text).span)
  }

  private static func decode(_ text: Span<UInt8>) -> [UInt8]? {
    guard text.count.isMultiple(of: 2) else { return nil }
    var isValid = true
    let bytes = [UInt8](expecting: text.count / 2) { output in
      output.append(atMost: text.count / 2) { bytes in
        for index in 0..<text.count / 2 {
          guard let high = value(text[2 * index]), let low = value(text[2 * index + 1]) else {
            isValid = false
            return index
          }
          bytes[index] = high << 4 | low
        }
        return text.count / 2
      }
    }
    return isValid ? bytes : nil
  }

  static func value(_ character: UInt8) -> UInt8? {
    switch character {
    case 0x30...0x39: character - 0x30
    case 0x61...0x66: character - 0x61 + 10
    case 0x41...0x46: character - 0x41 + 10
    default: nil
    }
  }
}

/// Base64 with the URL-safe alphabet and without padding (RFC 4648 §5), as JWTs use it.
public enum Base64URL {
  private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
  private static let values: [UInt8] = {
    var table = [UInt8](repeating: 255, count: 256)
    for (value, character) in alphabet.enumerated() { table[Int(character)] = UInt8(value) }
    return table
  }()

  /// The two digits of each value of twelve bits, the first in the lower byte.
  private static let pairs = (0..<4096).map { UInt16(alphabet[$0 >> 6]) | UInt16(alphabet[$0 & 63]) << 8 }

  /// Appends the encoding of `bytes` to `output`.
  static func encode(_ bytes: Span<UInt8>, to output: inout ByteWriter) {
    bytes.withUnsafeBufferPointer { encode($0, to: &output) }
  }

  private static func encode(_ bytes: UnsafeBufferPointer<UInt8>, to output: inout ByteWriter) {
    output.append(atMost: (bytes.count + 2) / 3 * 4) { buffer in
      pairs.withUnsafeBufferPointer { pairs in
        var place = UnsafeMutableRawPointer(buffer)
        func write(_ bits: UInt32) {
          let digits = UInt32(pairs[Int(bits >> 12)]) | UInt32(pairs[Int(bits & 0xFFF)]) << 16
          place.storeBytes(of: digits.littleEndian, as: UInt32.self)
          place += 4
        }
        var read = 0
        while read &+ 3 <= bytes.count {
          write(UInt32(bytes[read]) << 16 | UInt32(bytes[read &+ 1]) << 8 | UInt32(bytes[read &+ 2]))
          read &+= 3
        }
        switch bytes.count - read {
        case 1: write(UInt32(bytes[read]) << 16)
        case 2: write(UInt32(bytes[read]) << 16 | UInt32(bytes[read + 1]) << 8)
        default: break
        }
      }
      // Digits that encode no byte are left out: there is no padding.
      return (bytes.count * 4 + 2) / 3
    }
  }

  /// Appends the encoding of `bytes` to `output`.
  public static func encode(_ bytes: [UInt8], to output: inout [UInt8]) {
    output.append(expecting: (bytes.count + 2) / 3 * 4) { writer in
      encode(bytes.span, to: &writer)
    }
  }

  /// Decodes text; nil if it has a character outside the alphabet, an impossible length, or bits
  /// after the last byte that are not zero. No two texts decode to the same bytes.
  public static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
    // Contiguous bytes are read without the collection's indices.
    text.withContiguousStorageIfAvailable { decode($0.span) } ?? decode(Array(text).span)
  }

  private static func decode(_ text: Span<UInt8>) -> [UInt8]? {
    let tail = text.count % 4
    guard tail != 1 else { return nil }
    // Characters outside the alphabet leave a bit of 0xC0 here.
    var seen: UInt8 = 0
    var unused: UInt32 = 0
    let output = [UInt8](expecting: text.count * 3 / 4) { output in
      let values = values.span
      var index = 0
      /// Reads the next `count` digits as the upper ones of a group of four.
      func next(_ count: Int) -> UInt32 {
        var bits: UInt32 = 0
        for place in 0..<count {
          let value = values[Int(text[index + place])]
          seen |= value
          bits |= UInt32(value) << UInt32(18 - 6 * place)
        }
        index += count
        return bits
      }
      while index < text.count - tail {
        let bits = next(4)
        output.append(UInt8(truncatingIfNeeded: bits >> 16))
        output.append(UInt8(truncatingIfNeeded: bits >> 8))
        output.append(UInt8(truncatingIfNeeded: bits))
      }
      if tail > 0 {
        let bits = next(tail)
        output.append(UInt8(truncatingIfNeeded: bits >> 16))
        if tail == 3 { output.append(UInt8(truncatingIfNeeded: bits >> 8)) }
        unused = bits & (tail == 3 ? 0xFF : 0xFFFF)
      }
    }
    return seen < 64 && unused == 0 ? output : nil
  }
}

/// Percent-encoding in URLs and forms (RFC 3986 §2.1; WHATWG URL,
/// application/x-www-form-urlencoded).
public enum PercentEncoding {
  /// Decodes one component; nil if an escape is invalid or the bytes are not UTF-8.
  public static func decode(_ bytes: some Collection<UInt8>, plusIsSpace: Bool) -> String? {
    decode(Array(bytes)[...], plusIsSpace: plusIsSpace)
  }

  private static func decode(_ bytes: ArraySlice<UInt8>, plusIsSpace: Bool) -> String? {
    let percent = UInt8(ascii: "%")
    let plus = UInt8(ascii: "+")
    // Most components have no escapes.
    guard bytes.contains(where: { $0 == percent || $0 == plus && plusIsSpace }) else { return String(utf8: bytes) }
    var output: [UInt8] = []
    output.reserveCapacity(bytes.count)
    var rest = bytes
    while let byte = rest.popFirst() {
      switch byte {
      case percent:
        guard let high = rest.popFirst().flatMap(Hex.value), let low = rest.popFirst().flatMap(Hex.value) else {
          return nil
        }
        output.append(high << 4 | low)
      case plus where plusIsSpace: output.append(0x20)
      default: output.append(byte)
      }
    }
    return String(utf8: output[...])
  }

  /// Decodes `name=value&name=value`; nil if a component is invalid.
  public static func decodeForm(_ bytes: some Collection<UInt8>) -> [(name: String, value: String)]? {
    var pairs: [(name: String, value: String)] = []
    var rest = Array(bytes)[...]
    while !rest.isEmpty {
      let part = rest.prefix { $0 != UInt8(ascii: "&") }
      rest = rest[part.endIndex...].dropFirst()
      if part.isEmpty { continue }
      let name = part.prefix { $0 != UInt8(ascii: "=") }
      guard let decodedName = decode(name, plusIsSpace: true),
        let value = decode(part[name.endIndex...].dropFirst(), plusIsSpace: true)
      else { return nil }
      pairs.append((decodedName, value))
    }
    return pairs
  }

  /// Encodes one component: escapes all but the unreserved characters of RFC 3986.
  public static func encode(_ text: String) -> String {
    var output: [UInt8] = []
    for byte in text.utf8 {
      if byte.isLetter || byte.isDigit || "-._~".utf8.contains(byte) {
        output.append(byte)
      } else {
        output.append(UInt8(ascii: "%"))
        output += Hex.encode([byte]).uppercased().utf8
      }
    }
    return String(decoding: output, as: UTF8.self)
  }
}

/// Base64 with padding (RFC 4648 §4), as Engine.IO and WebSocket handshakes use it.
public enum Base64 {
  /// Encodes bytes.
  public static func encode(_ bytes: some Collection<UInt8>) -> String {
    var output: [UInt8] = []
    Base64URL.encode(Array(bytes), to: &output)
    for index in output.indices {
      if output[index] == UInt8(ascii: "-") { output[index] = UInt8(ascii: "+") }
      if output[index] == UInt8(ascii: "_") { output[index] = UInt8(ascii: "/") }
    }
    while output.count % 4 != 0 { output.append(UInt8(ascii: "=")) }
    return String(decoding: output, as: UTF8.self)
  }

  /// Decodes text; nil unless it is canonical base64 with padding.
  public static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
    guard text.count % 4 == 0 else { return nil }
    var plain = Array(text)
    var padding = 0
    while plain.last == UInt8(ascii: "="), padding < 2 {
      plain.removeLast()
      padding += 1
    }
    for index in plain.indices {
      switch plain[index] {
      case UInt8(ascii: "+"): plain[index] = UInt8(ascii: "-")
      case UInt8(ascii: "/"): plain[index] = UInt8(ascii: "_")
      case UInt8(ascii: "-"), UInt8(ascii: "_"): return nil
      default: break
      }
    }
    return Base64URL.decode(plain)
  }
}

extension String {
  /// Decodes UTF-8; nil if the bytes are invalid. ASCII, the usual case, needs no validation.
  init?(utf8 bytes: ArraySlice<UInt8>) {
    let isASCII = bytes.withUnsafeBytes { $0.allSatisfy { $0 < 0x80 } }
    if isASCII {
      self.init(decoding: bytes, as: UTF8.self)
    } else {
      self.init(validating: bytes, as: UTF8.self)
    }
  }
}
