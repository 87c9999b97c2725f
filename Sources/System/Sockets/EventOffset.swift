/// The place of an event in the one order of all events that a client may miss. A client of
/// Socket.IO 4.6 keeps that of the last event it received, as a text that it does not look into.
struct EventOffset: Hashable, Comparable, Sendable {
  /// Before all events.
  static let start = EventOffset(position: 0, part: 0)
  /// The longest text of an offset, in bytes.
  private static let longest = 40

  /// The position of the transaction that caused the event.
  let position: Int64
  /// The place among the events of that transaction.
  let part: Int64

  init(position: Int64, part: Int64) {
    self.position = position
    self.part = part
  }

  /// Reads `POSITION-PART`; nil for anything else.
  init?(_ text: String) {
    guard text.utf8.count <= Self.longest else { return nil }
    let parts = text.utf8.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
    guard parts.count == 2, let position = Self.number(parts[0]), let part = Self.number(parts[1]) else { return nil }
    self.init(position: position, part: part)
  }

  private static func number(_ digits: Substring.UTF8View) -> Int64? {
    guard !digits.isEmpty, digits.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) else { return nil }
    return Int64(String(Substring(digits)))
  }

  /// The last possible place at a position.
  static func end(of position: Int64) -> EventOffset { EventOffset(position: position, part: .max) }

  /// The text for a client.
  var text: String { "\(position)-\(part)" }

  static func < (a: EventOffset, b: EventOffset) -> Bool { (a.position, a.part) < (b.position, b.part) }
}
