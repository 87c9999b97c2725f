/// The text form of durations: `200ms`, `1.5s`, `10m`, `2h`, `7d`; `0` needs no unit.
public enum DurationText {
  private static let units: [(suffix: String, nanoseconds: Double)] = [
    ("ns", 1), ("us", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9), ("d", 86_400e9),
  ]

  /// Parses a duration; nil if `text` is invalid or longer than a hundred years.
  public static func parse(_ text: some StringProtocol) -> Duration? {
    if text == "0" { return .zero }
    let number = text.prefix { $0.isNumber && $0.isASCII || $0 == "." }
    let suffix = text.dropFirst(number.count)
    guard let value = Double(number), let unit = units.first(where: { $0.suffix == suffix }) else { return nil }
    let nanoseconds = value * unit.nanoseconds
    guard nanoseconds <= 100 * 366 * 86_400e9 else { return nil }
    return .nanoseconds(Int64(nanoseconds.rounded()))
  }

  /// Formats a duration as the shortest text that parses to it.
  public static func format(_ duration: Duration) -> String {
    let nanoseconds = duration.nanoseconds
    if nanoseconds == 0 { return "0" }
    let unit = units.last { nanoseconds % Int64($0.nanoseconds) == 0 }!
    return "\(nanoseconds / Int64(unit.nanoseconds))\(unit.suffix)"
  }
}
