/// The messages of the protocol, written apart from those of the system: this is the oracle.
enum Wire {
  typealias Message = (type: UInt8, body: [UInt8])

  static func length(_ count: Int) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: count >> (24 - 8 * $0)) } }
  static func short(_ count: Int) -> [UInt8] { Array(length(count)[2...]) }
  static func number(_ bytes: ArraySlice<UInt8>) -> Int { bytes.reduce(0) { $0 << 8 | Int($1) } }

  static func message(_ type: Character, _ body: [UInt8]) -> [UInt8] {
    [type.asciiValue!] + length(body.count + 4) + body
  }

  /// A simple query.
  static func query(_ sql: String) -> [UInt8] { message("Q", Array(sql.utf8) + [0]) }

  /// A statement in the extended protocol, with values and results in text.
  static func statement(_ sql: String, _ parameters: [String?]) -> [UInt8] {
    var bind: [UInt8] = [0, 0, 0, 0] + short(parameters.count)
    for parameter in parameters {
      guard let parameter else {
        bind += [255, 255, 255, 255]
        continue
      }
      bind += length(parameter.utf8.count) + Array(parameter.utf8)
    }
    return message("P", [0] + Array(sql.utf8) + [0, 0, 0]) + message("D", Array("S".utf8) + [0])
      + message("B", bind + [0, 0]) + message("E", [0, 0, 0, 0, 0]) + message("S", [])
  }

  /// Splits bytes that end with a whole message.
  static func messages(_ bytes: [UInt8]) -> [Message] {
    var messages: [Message] = []
    var rest = bytes[...]
    while !rest.isEmpty {
      let start = rest.startIndex
      let count = number(rest[(start + 1)..<(start + 5)])
      messages.append((rest[start], Array(rest[(start + 5)..<(start + 1 + count)])))
      rest = rest[(start + 1 + count)...]
    }
    return messages
  }

  static func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }

  /// Reads a notification: the process that sent it, its channel and its payload.
  static func notification(_ body: [UInt8]) -> Notification {
    let channel = text(body[4...])
    return Notification(
      sender: number(body[0..<4]), channel: channel, payload: text(body[(5 + channel.utf8.count)...]))
  }

  static func fields(_ body: [UInt8]) -> [Character: String] {
    var fields: [Character: String] = [:]
    for part in body.split(separator: 0) where part.count > 1 {
      fields[Character(UnicodeScalar(part.first!))] = String(decoding: part.dropFirst(), as: UTF8.self)
    }
    return fields
  }
}

/// What a session that listens is sent. It may come between any two statements.
struct Notification {
  var sender: Int
  var channel: String
  var payload: String
}

/// What a client sees of a statement.
struct Outcome: Equatable, CustomStringConvertible {
  /// The types of the messages, in order, but for repeated rows.
  var kinds = ""
  var parameters: [UInt32] = []
  /// Name, type and modifier.
  var columns: [String] = []
  var rows: [[String?]] = []
  var tag: String?
  var failure: String?
  var constraint: String?
  var notices: [String] = []
  /// The state of the transaction: I, T or E.
  var state = ""
  /// For people; not compared.
  var message: String?

  /// Reads the messages up to ReadyForQuery.
  init(_ messages: [Wire.Message]) {
    for (type, body) in messages {
      let kind = Character(UnicodeScalar(type))
      if kind != "D" || kinds.last != "D" { kinds.append(kind) }
      switch kind {
      case "t":
        parameters = (0..<Wire.number(body[0..<2])).map { UInt32(Wire.number(body[(2 + 4 * $0)..<(6 + 4 * $0)])) }
      case "T":
        var rest = body[2...]
        while !rest.isEmpty {
          let name = Wire.text(rest)
          rest = rest.dropFirst(name.utf8.count + 1)
          let start = rest.startIndex
          columns.append(
            "\(name):\(Wire.number(rest[(start + 6)..<(start + 10)])):\(Int32(truncatingIfNeeded: Wire.number(rest[(start + 12)..<(start + 16)])))"
          )
          rest = rest.dropFirst(18)
        }
      case "D":
        var row: [String?] = []
        var index = 2
        for _ in 0..<Wire.number(body[0..<2]) {
          let count = Int(Int32(truncatingIfNeeded: Wire.number(body[index..<(index + 4)])))
          index += 4
          row.append(count < 0 ? nil : String(decoding: body[index..<(index + count)], as: UTF8.self))
          index += max(0, count)
        }
        rows.append(row)
      case "C": tag = Wire.text(body[...])
      case "E":
        let fields = Wire.fields(body)
        failure = fields["C"]
        constraint = fields["n"]
        message = fields["M"]
      case "Z": state = String(UnicodeScalar(body[0]))
      case "N": notices.append(Wire.fields(body)["C"] ?? "")
      default: break
      }
    }
    guard failure != nil else { return }
    // How many rows were sent before an error depends on buffers.
    rows = []
    kinds.removeAll { $0 == "D" }
  }

  static func == (a: Outcome, b: Outcome) -> Bool {
    a.kinds == b.kinds && a.parameters == b.parameters && a.columns == b.columns && a.rows == b.rows && a.tag == b.tag
      && a.failure == b.failure && a.constraint == b.constraint && a.state == b.state && a.notices == b.notices
  }

  var description: String {
    var text = failure.map { "error \($0) \(constraint ?? "") (\(message ?? ""))" } ?? "\(tag ?? "-")"
    if !rows.isEmpty { text += " rows \(rows.map { $0.map { $0 ?? "NULL" } })" }
    return text + " [\(state)] \(kinds) \(columns) \(parameters) \(notices.isEmpty ? "" : "notices \(notices)")"
  }

  /// The outcome with its rows in a fixed order.
  func sorted() -> Outcome {
    var result = self
    result.rows.sort { $0.map { $0 ?? "~" }.lexicographicallyPrecedes($1.map { $0 ?? "~" }) }
    return result
  }
}
