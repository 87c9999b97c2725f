/// Binary property lists, version `bplist00`, as Foundation and Python's `plistlib` read and write
/// them. Queue messages use them as `application/bytes`. Values are those of JSON; dates and sets
/// are refused.
public enum PropertyList {
  /// The error of an invalid or unsupported property list.
  public struct Failure: Error, Hashable, Sendable {
    /// The problem.
    public let reason: String
  }

  private static let magic = Array("bplist00".utf8)
  /// The maximum number of objects in a list, since each takes memory.
  private static let maximumObjects = 100_000
  /// The maximum size of the value as a multiple of the list's bytes. A reference takes one byte
  /// and stands for a whole object, so a small list could expand without bound.
  private static let maximumExpansion = 16

  /// Whether the bytes begin as a binary property list.
  public static func isOne(_ bytes: [UInt8]) -> Bool { bytes.starts(with: magic) }

  // MARK: Reading

  /// Parses a property list with at most `depth` levels of arrays and dictionaries. Takes linear
  /// time, and at most 16 times the memory of the bytes.
  public static func parse(_ bytes: [UInt8], depth: Int = JSONParser.maximumDepth) throws(Failure) -> JSONValue {
    guard isOne(bytes), bytes.count >= 40 else { throw Failure(reason: "not a binary property list") }
    let trailer = bytes.count - 32
    let reader = Reader(
      bytes: bytes, offsetSize: Int(bytes[trailer + 6]), referenceSize: Int(bytes[trailer + 7]),
      count: number(bytes[trailer + 8..<trailer + 16]), table: number(bytes[trailer + 24..<trailer + 32]),
      maximumDepth: depth)
    guard (1...8).contains(reader.offsetSize), (1...8).contains(reader.referenceSize), reader.count <= maximumObjects,
      reader.table >= 8, reader.table <= trailer, reader.count * reader.offsetSize <= trailer - reader.table
    else { throw Failure(reason: "a trailer that makes no sense") }
    var budget = Budget(objects: maximumObjects, bytes: bytes.count * maximumExpansion)
    return try reader.object(number(bytes[trailer + 16..<trailer + 24]), depth: 0, &budget)
  }

  /// Reads a big-endian number; saturates, since such a number is beyond every bound.
  private static func number(_ bytes: ArraySlice<UInt8>) -> Int {
    bytes.reduce(0) { $0 > Int.max >> 9 ? Int.max >> 8 : $0 << 8 | Int($1) }
  }

  /// The size to which a list may still expand.
  private struct Budget {
    var objects: Int
    var bytes: Int

    /// Charges a part of the value before it is allocated.
    mutating func charge(_ count: Int) throws(Failure) {
      guard count <= bytes else {
        throw Failure(reason: "it expands to more than \(maximumExpansion) times its size")
      }
      bytes -= count
    }

    mutating func chargeObject() throws(Failure) {
      guard objects > 0 else { throw Failure(reason: "more than \(maximumObjects) objects") }
      objects -= 1
      // A number has eight bytes, and so has a reference.
      try charge(8)
    }
  }

  private struct Reader {
    let bytes: [UInt8]
    let offsetSize: Int
    let referenceSize: Int
    let count: Int
    let table: Int
    let maximumDepth: Int

    private func slice(_ start: Int, _ size: Int) throws(Failure) -> ArraySlice<UInt8> {
      guard start >= 8, size >= 0, start <= table, size <= table - start else {
        throw Failure(reason: "an object is cut off")
      }
      return bytes[start..<start + size]
    }

    func object(_ index: Int, depth: Int, _ budget: inout Budget) throws(Failure) -> JSONValue {
      guard index < count else { throw Failure(reason: "a reference to no object") }
      try budget.chargeObject()
      let at = table + index * offsetSize
      let start = number(bytes[at..<at + offsetSize])
      let marker = try slice(start, 1).first!
      let low = Int(marker & 0x0F)
      switch marker >> 4 {
      case 0x0 where marker == 0x00: return .null
      case 0x0 where marker == 0x08: return false
      case 0x0 where marker == 0x09: return true
      case 0x1:
        guard low <= 4 else { throw Failure(reason: "an integer of that size") }
        return try integer(try slice(start + 1, 1 << low))
      case 0x2 where low == 3:
        let raw = try slice(start + 1, 8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return try finite(Double(bitPattern: raw))
      case 0x2 where low == 2:
        let raw = try slice(start + 1, 4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        return try finite(Double(Float(bitPattern: raw)))
      case 0x4, 0x5, 0x6, 0xA, 0xD:
        let (length, first) = try length(low, start + 1)
        return try container(marker >> 4, length, first, depth, &budget)
      default: throw Failure(reason: "an object of type \(Hex.encode([marker]))")
      }
    }

    private func finite(_ value: Double) throws(Failure) -> JSONValue {
      guard value.isFinite else { throw Failure(reason: "a number that JSON does not have") }
      return .double(value)
    }

    private func integer(_ raw: ArraySlice<UInt8>) throws(Failure) -> JSONValue {
      // Eight bytes are signed, fewer are unsigned. Sixteen hold numbers that do not fit into
      // eight.
      let low = raw.suffix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      guard raw.count == 16 || raw.count <= 8 else { throw Failure(reason: "an integer of that size") }
      if raw.count == 16, low > UInt64(Int64.max) || raw.prefix(8).contains(where: { $0 != 0 }) {
        throw Failure(reason: "an integer that is too large")
      }
      return .int(Int64(bitPattern: low))
    }

    private func length(_ low: Int, _ start: Int) throws(Failure) -> (length: Int, first: Int) {
      if low < 15 { return (low, start) }
      let marker = try slice(start, 1).first!
      guard marker >> 4 == 1, marker & 15 <= 3 else { throw Failure(reason: "a length that is none") }
      let size = 1 << Int(marker & 15)
      return (number(try slice(start + 1, size)), start + 1 + size)
    }

    private func container(
      _ kind: UInt8, _ length: Int, _ first: Int, _ depth: Int, _ budget: inout Budget
    ) throws(Failure) -> JSONValue {
      guard length <= bytes.count else { throw Failure(reason: "an object is cut off") }
      if kind == 0xA || kind == 0xD, depth >= maximumDepth {
        throw Failure(reason: "nested deeper than \(maximumDepth) levels")
      }
      // A unit of UTF-16 takes up to three bytes of UTF-8. Three bytes of data take four of base64.
      let factor = kind == 0x6 ? 3 : kind == 0x4 ? 2 : 1
      try budget.charge(length * factor)
      switch kind {
      case 0x4: return .string(Base64.encode(Array(try slice(first, length))))
      case 0x5:
        let raw = try slice(first, length)
        guard raw.allSatisfy({ $0 < 0x80 }) else { throw Failure(reason: "an ASCII string that is none") }
        return .string(String(decoding: raw, as: UTF8.self))
      case 0x6:
        let raw = Array(try slice(first, length * 2))
        let units = (0..<length).map { UInt16(raw[2 * $0]) << 8 | UInt16(raw[2 * $0 + 1]) }
        guard let text = String(validating: units, as: UTF16.self) else {
          throw Failure(reason: "a string is not UTF-16")
        }
        return .string(text)
      case 0xA:
        var elements: [JSONValue] = []
        for index in 0..<length {
          elements.append(try object(try reference(first, index), depth: depth + 1, &budget))
        }
        return .array(elements)
      default:
        var members: [JSONValue.Member] = []
        for index in 0..<length {
          guard let key = try object(try reference(first, index), depth: depth + 1, &budget).string else {
            throw Failure(reason: "a key that is no string")
          }
          members.append(.init(key, try object(try reference(first, length + index), depth: depth + 1, &budget)))
        }
        guard Set(members.map { ExactText($0.name) }).count == members.count else {
          throw Failure(reason: "a key appears twice")
        }
        return .object(members)
      }
    }

    private func reference(_ first: Int, _ index: Int) throws(Failure) -> Int {
      number(try slice(first + index * referenceSize, referenceSize))
    }
  }

  // MARK: Writing

  /// Encodes a value as a binary property list. `null` becomes the null object, which `plistlib`
  /// reads as `None`.
  public static func bytes(_ value: JSONValue) -> [UInt8] {
    var writer = Writer()
    _ = writer.add(value)
    return writer.finish()
  }

  private struct Writer {
    private var objects: [Object] = []

    private enum Object {
      case bytes([UInt8])
      case array([Int])
      case dictionary(keys: [Int], values: [Int])
    }

    mutating func add(_ value: JSONValue) -> Int {
      let index = objects.count
      switch value {
      case .null: objects.append(.bytes([0x00]))
      case .bool(let flag): objects.append(.bytes([flag ? 0x09 : 0x08]))
      case .int(let number): objects.append(.bytes([0x13] + Self.big(UInt64(bitPattern: number), 8)))
      case .double(let number): objects.append(.bytes([0x23] + Self.big(number.bitPattern, 8)))
      case .string(let text): objects.append(.bytes(Self.string(text)))
      case .array(let elements):
        objects.append(.array([]))
        let references = elements.map { add($0) }
        objects[index] = .array(references)
      case .object(let members):
        objects.append(.array([]))
        let keys = members.map { add(.string($0.name)) }
        let values = members.map { add($0.value) }
        objects[index] = .dictionary(keys: keys, values: values)
      }
      return index
    }

    private static func big(_ value: UInt64, _ size: Int) -> [UInt8] {
      (0..<size).map { UInt8(value >> UInt64(8 * (size - 1 - $0)) & 255) }
    }

    private static func marked(_ kind: UInt8, _ count: Int) -> [UInt8] {
      count < 15 ? [kind << 4 | UInt8(count)] : [kind << 4 | 15, 0x12] + big(UInt64(count), 4)
    }

    private static func string(_ text: String) -> [UInt8] {
      if text.utf8.allSatisfy({ $0 < 0x80 }) { return marked(5, text.utf8.count) + text.utf8 }
      let units = Array(text.utf16)
      return marked(6, units.count) + units.flatMap { [UInt8($0 >> 8), UInt8($0 & 255)] }
    }

    func finish() -> [UInt8] {
      var output = magic
      var offsets: [Int] = []
      func references(_ indices: [Int]) -> [UInt8] { indices.flatMap { Self.big(UInt64($0), 4) } }
      for object in objects {
        offsets.append(output.count)
        switch object {
        case .bytes(let bytes): output += bytes
        case .array(let indices): output += Self.marked(0xA, indices.count) + references(indices)
        case .dictionary(let keys, let values):
          output += Self.marked(0xD, keys.count) + references(keys) + references(values)
        }
      }
      let table = output.count
      for offset in offsets { output += Self.big(UInt64(offset), 4) }
      output += [0, 0, 0, 0, 0, 0, 4, 4]
      for number in [objects.count, 0, table] { output += Self.big(UInt64(number), 8) }
      return output
    }
  }
}
