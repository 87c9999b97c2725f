import Environment

/// A date of the proleptic Gregorian calendar in UTC, computed from days since the epoch.
///
/// Howard Hinnant's `civil_from_days` ("chrono-compatible low-level date algorithms") needs neither
/// tables nor a time zone database, so timestamps do not depend on the machine.
struct CivilDate {
  var year: Int64
  var month: Int64
  var day: Int64

  init(daysSinceEpoch days: Int64) {
    let z = days + 719_468
    let era = (z >= 0 ? z : z - 146_096) / 146_097
    let dayOfEra = z - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shifted = (5 * dayOfYear + 2) / 153
    day = dayOfYear - (153 * shifted + 2) / 5 + 1
    month = shifted < 10 ? shifted + 3 : shifted - 9
    year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  }

  /// Days from the epoch to a date, by `days_from_civil` of the same source.
  static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
    let shifted = year - (month <= 2 ? 1 : 0)
    let era = shifted / 400
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }
}

extension Timestamp {
  private var civil: (date: CivilDate, days: Int64, second: Int64) {
    let days = seconds >= 0 ? seconds / 86_400 : (seconds - 86_399) / 86_400
    return (CivilDate(daysSinceEpoch: days), days, seconds - days * 86_400)
  }

  /// `2026-11-21T07:44:26.123456Z` (RFC 3339), with microseconds.
  public var rfc3339: String {
    let (date, _, second) = civil
    // The difference to whole seconds could underflow at the earliest time.
    let fraction = (microseconds % 1_000_000 + 1_000_000) % 1_000_000
    return String(expecting: 40) { output in
      output.append(decimal: date.year, width: 4)
      output.append(UInt8(ascii: "-"))
      output.append(decimal: date.month, width: 2)
      output.append(UInt8(ascii: "-"))
      output.append(decimal: date.day, width: 2)
      output.append(UInt8(ascii: "T"))
      output.append(timeOfDay: second)
      output.append(UInt8(ascii: "."))
      output.append(decimal: fraction, width: 6)
      output.append(UInt8(ascii: "Z"))
    }
  }

  /// Reads the form that `rfc3339` writes; nil for any other. A fraction of a second is dropped.
  init?(rfc3339 text: String) {
    let fields = text.utf8.prefix(20).split { !(UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0) }
    let numbers = fields.compactMap { Int64(String(Substring($0))) }
    guard text.utf8.count >= 20, text.utf8.last == UInt8(ascii: "Z"), numbers.count == 6, numbers[0] < 10_000,
      1...12 ~= numbers[1], 1...31 ~= numbers[2], numbers[3...].allSatisfy({ $0 < 60 })
    else { return nil }
    let days = CivilDate.days(year: numbers[0], month: numbers[1], day: numbers[2])
    self.init(seconds: ((days * 24 + numbers[3]) * 60 + numbers[4]) * 60 + numbers[5])
  }

  /// `Sat, 21 Nov 2026 07:44:26 GMT` (RFC 9110 §5.6.7).
  public var httpDate: [UInt8] {
    let (date, days, second) = civil
    let weekday = Int(((days + 4) % 7 + 7) % 7)
    let names: [StaticString] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    let months: [StaticString] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    return [UInt8](expecting: 40) { output in
      output.append(names[weekday])
      output.append(", ")
      output.append(decimal: date.day, width: 2)
      output.append(0x20)
      output.append(months[Int(date.month) - 1])
      output.append(0x20)
      output.append(decimal: date.year, width: 4)
      output.append(0x20)
      output.append(timeOfDay: second)
      output.append(" GMT")
    }
  }
}

extension ByteWriter {
  fileprivate mutating func append(timeOfDay second: Int64) {
    append(decimal: second / 3600, width: 2)
    append(UInt8(ascii: ":"))
    append(decimal: second / 60 % 60, width: 2)
    append(UInt8(ascii: ":"))
    append(decimal: second % 60, width: 2)
  }
}
