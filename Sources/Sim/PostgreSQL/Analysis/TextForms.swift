import System

/// The text forms of values (PostgreSQL 15, chapter 8), as literals and parameters have them.
enum TextForm {
  /// Microseconds from 1970 to 2000, the origin of PostgreSQL's times.
  static let origin: Int64 = 946_684_800_000_000

  /// Reads a value of a type.
  static func read(_ text: [UInt8], as type: SQLType) throws(ServerError) -> StoredValue {
    let string = String(decoding: text, as: UTF8.self)
    switch type {
    case .text, .varchar, .unknown: return .text(text)
    case .bigint, .integer, .smallint:
      let trimmed = string.split(separator: " ").joined()
      guard let value = Int64(trimmed) else {
        let isNumber = !trimmed.isEmpty && trimmed.utf8.allSatisfy { ($0 >= 48 && $0 <= 57) || $0 == 45 }
        throw isNumber
          ? ServerError("22003", "value \"\(string)\" is out of range for type \(type.name)")
          : ServerError("22P02", "invalid input syntax for type \(type.name): \"\(string)\"")
      }
      return try limited(.integer(value), to: type)
    case .boolean:
      switch string.lowercased() {
      case "t", "true", "yes", "on", "1", "y": return .integer(1)
      case "f", "false", "no", "off", "0", "n": return .integer(0)
      default: throw ServerError("22P02", "invalid input syntax for type boolean: \"\(string)\"")
      }
    case .bytea: return .bytes(try bytes(text))
    case .timestamp, .timestamptz:
      guard let time = time(text) else {
        throw ServerError("22007", "invalid input syntax for type \(type.name): \"\(string)\"")
      }
      return .integer(time)
    case .numeric, .double, .void, .trigger: throw .unknown("a text of the type \(type.name)")
    }
  }

  /// Checks the range of an integer.
  static func limited(_ value: StoredValue, to type: SQLType) throws(ServerError) -> StoredValue {
    switch (type, value) {
    case (.integer, .integer(let number)) where Int32(exactly: number) == nil:
      throw ServerError("22003", "integer out of range")
    case (.smallint, .integer(let number)) where Int16(exactly: number) == nil:
      throw ServerError("22003", "smallint out of range")
    case (.bigint, .real), (.integer, .real), (.smallint, .real):
      throw ServerError("22003", "\(type.name) out of range")
    default: return value
    }
  }

  /// Writes a value of a type.
  static func write(_ value: StoredValue, as type: SQLType) -> [UInt8]? {
    switch value {
    case .null: nil
    case .text(let bytes): bytes
    case .bytes(let bytes): Array("\\x".utf8) + bytes.flatMap { [hexDigits[Int($0 >> 4)], hexDigits[Int($0 & 15)]] }
    case .real(let number): Array("\(number)".utf8)
    case .integer(let number):
      switch type {
      case .boolean: [UInt8(ascii: number == 0 ? "f" : "t")]
      case .timestamp: Array(timeText(number).utf8)
      case .timestamptz: Array((timeText(number) + "+00").utf8)
      default: Array("\(number)".utf8)
      }
    }
  }

  private static let hexDigits = Array("0123456789abcdef".utf8)

  private static func bytes(_ text: [UInt8]) throws(ServerError) -> [UInt8] {
    guard text.starts(with: "\\x".utf8) else {
      if text.contains(UInt8(ascii: "\\")) { throw .unknown("an escaped byte in a text of bytea") }
      return text
    }
    guard text.count % 2 == 0 else { throw ServerError("22023", "invalid hexadecimal data: odd number of digits") }
    var result: [UInt8] = []
    for index in stride(from: 2, to: text.count, by: 2) {
      guard let high = Character(UnicodeScalar(text[index])).hexDigitValue,
        let low = Character(UnicodeScalar(text[index + 1])).hexDigitValue
      else { throw ServerError("22023", "invalid hexadecimal digit") }
      result.append(UInt8(high << 4 | low))
    }
    return result
  }

  // MARK: Times

  /// Days from 1970 to a date (Hinnant, "chrono-compatible low-level date algorithms").
  private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
    let year = month <= 2 ? year - 1 : year
    let era = (year >= 0 ? year : year - 399) / 400
    let yearOfEra = year - era * 400
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  /// Microseconds since 2000 of `YYYY-MM-DD HH:MM:SS[.ffffff][Z|±HH[:MM]]`.
  private static func time(_ text: [UInt8]) -> Int64? {
    var index = 0
    func number(_ width: ClosedRange<Int>) -> Int64? {
      var value: Int64 = 0
      let start = index
      while index < text.count, index - start < width.upperBound, (48...57).contains(text[index]) {
        value = value * 10 + Int64(text[index] - 48)
        index += 1
      }
      return width.contains(index - start) ? value : nil
    }
    func take(_ bytes: String) -> Bool {
      guard index < text.count, bytes.utf8.contains(text[index]) else { return false }
      index += 1
      return true
    }
    guard let year = number(4...4), take("-"), let month = number(2...2), take("-"), let day = number(2...2),
      take("T "), let hour = number(2...2), take(":"), let minute = number(2...2), take(":"),
      let second = number(2...2), (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60, second < 61
    else { return nil }
    var micros: Int64 = 0
    if take(".") {
      let start = index
      guard let fraction = number(1...6) else { return nil }
      micros = fraction
      for _ in (index - start)..<6 { micros *= 10 }
    }
    var offset: Int64 = 0
    if !take("Zz"), index < text.count {
      let isNegative = text[index] == UInt8(ascii: "-")
      guard take("+-"), let hours = number(2...2) else { return nil }
      let minutes = take(":") ? number(2...2) ?? 0 : 0
      offset = (hours * 60 + minutes) * (isNegative ? -1 : 1)
    }
    guard index == text.count else { return nil }
    let seconds = days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset * 60
    return seconds * 1_000_000 + micros - origin
  }

  private static func timeText(_ value: Int64) -> String {
    func pad(_ number: Int64, _ width: Int) -> String {
      let digits = "\(number)"
      return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
    let micros = value + origin
    let seconds = micros / 1_000_000 - (micros % 1_000_000 < 0 ? 1 : 0)
    let fraction = micros - seconds * 1_000_000
    let day = seconds / 86400 - (seconds % 86400 < 0 ? 1 : 0)
    let rest = seconds - day * 86400
    let shifted = day + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let month = shiftedMonth + (shiftedMonth < 10 ? 3 : -9)
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    var text = "\(pad(year, 4))-\(pad(month, 2))-\(pad(dayOfYear - (153 * shiftedMonth + 2) / 5 + 1, 2))"
    text += " \(pad(rest / 3600, 2)):\(pad(rest / 60 % 60, 2)):\(pad(rest % 60, 2))"
    guard fraction != 0 else { return text }
    var digits = pad(fraction, 6)
    while digits.last == "0" { digits.removeLast() }
    return text + "." + digits
  }
}
