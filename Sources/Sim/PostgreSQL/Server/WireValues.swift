import System

/// The binary forms of values (PostgreSQL 15, `src/backend/utils/adt`).
enum WireForm {
  /// Reads the value of a parameter.
  static func read(_ bytes: [UInt8]?, as type: SQLType, isBinary: Bool) throws(ServerError) -> StoredValue {
    guard let bytes else { return .null }
    if type.isText || !isBinary {
      guard !bytes.contains(0), String(validating: bytes, as: UTF8.self) != nil else {
        throw ServerError("22021", "invalid byte sequence for encoding \"UTF8\"")
      }
    }
    guard isBinary else { return try TextForm.read(bytes, as: type) }
    switch type {
    case .text, .varchar: return .text(bytes)
    case .bytea: return .bytes(bytes)
    case .boolean, .smallint, .integer, .bigint, .timestamp, .timestamptz:
      guard bytes.count == Int(type.size) else {
        throw ServerError("22P03", "incorrect binary data format in bind parameter")
      }
      let unsigned = bytes.reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
      let shift = UInt64(64 - 8 * bytes.count)
      return .integer(type == .boolean ? Int64(unsigned == 0 ? 0 : 1) : Int64(bitPattern: unsigned << shift) >> shift)
    case .double, .numeric, .unknown, .void, .trigger: throw .unknown("a binary parameter of \(type.name)")
    }
  }

  /// Writes the value of a column.
  static func write(_ value: StoredValue, as type: SQLType, isBinary: Bool) throws(ServerError) -> [UInt8]? {
    let value = try TextForm.limited(value, to: type)
    guard isBinary else { return TextForm.write(value, as: type) }
    switch value {
    case .null: return nil
    case .text(let bytes), .bytes(let bytes): return bytes
    case .real: throw .unknown("a binary result of \(type.name)")
    case .integer(let number):
      guard type != .numeric else { return numeric(number) }
      let size = Int(max(1, type.size))
      return (0..<size).map { UInt8(truncatingIfNeeded: number >> (8 * (size - 1 - $0))) }
    }
  }

  /// An integer as `numeric`: digits of base 10,000, with their number, weight, sign and scale.
  private static func numeric(_ number: Int64) -> [UInt8] {
    var digits: [UInt16] = []
    var rest = number.magnitude
    while rest > 0 {
      digits.insert(UInt16(rest % 10_000), at: 0)
      rest /= 10_000
    }
    let weight = UInt16(max(0, digits.count - 1))
    while digits.last == 0 { digits.removeLast() }
    let header = [UInt16(digits.count), digits.isEmpty ? 0 : weight, number < 0 ? 0x4000 : 0, 0]
    return (header + digits).flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }
  }
}
