import System

/// The value of a field of a method.
enum BrokerValue {
  case bit(Bool)
  case number(UInt64)
  case text(String)
  /// The contents of a table, encoded.
  case table([UInt8])
}

/// The properties of a publication.
struct BrokerProperties {
  /// The contents of the table of headers; nil for none.
  var headers: [UInt8]?
  var isPersistent = false
  var priority: UInt8?
  var replyTo: String?
  var expiration: String?

  /// The property flags and the property list (AMQP 0-9-1 §4.2.6.1).
  var bytes: [UInt8] {
    var flags: UInt16 = 1 << 12
    var list: [UInt8] = []
    if let headers {
      flags |= 1 << 13
      list += AttackGrammar.long(headers)
    }
    list.append(isPersistent ? 2 : 1)
    if let priority {
      flags |= 1 << 11
      list.append(priority)
    }
    if let replyTo {
      flags |= 1 << 9
      list += AttackGrammar.short(replyTo)
    }
    if let expiration {
      flags |= 1 << 8
      list += AttackGrammar.short(expiration)
    }
    var output: [UInt8] = []
    output.append(big: flags)
    return output + list
  }
}

/// Writes frames by the table of methods. It shares nothing with the writer of the system.
enum BrokerWriter {
  private static func row(_ name: String) -> AMQPMethodRow { AMQPMethodRow.all.first { $0.name == name }! }

  /// A method. Fields that are not given are empty.
  static func method(_ channel: Int, _ name: String, _ values: [String: BrokerValue] = [:]) -> [UInt8] {
    let row = row(name)
    var payload: [UInt8] = []
    payload.append(big: row.classID)
    payload.append(big: row.id)
    var bits: [Bool] = []
    for field in row.fields {
      let value = values[field.name]
      if field.type == .bit {
        if case .bit(let isSet)? = value { bits.append(isSet) } else { bits.append(false) }
        continue
      }
      append(&bits, to: &payload)
      payload += bytes(value, field.type)
    }
    append(&bits, to: &payload)
    return AttackGrammar.frame(1, UInt16(channel), payload)
  }

  /// A publication with its header and its body.
  static func publication(
    _ channel: Int, _ exchange: String, _ key: String, isMandatory: Bool, _ properties: BrokerProperties,
    _ body: [UInt8]
  ) -> [UInt8] {
    var header: [UInt8] = [0, 60, 0, 0]
    header.append(big: Int64(body.count))
    return method(
      channel, "basic.publish",
      ["exchange": .text(exchange), "routing-key": .text(key), "mandatory": .bit(isMandatory)])
      + AttackGrammar.frame(2, UInt16(channel), header + properties.bytes)
      + (body.isEmpty ? [] : AttackGrammar.frame(3, UInt16(channel), body))
  }

  /// Packs neighbouring bits into octets.
  private static func append(_ bits: inout [Bool], to payload: inout [UInt8]) {
    guard !bits.isEmpty else { return }
    payload.append(bits.enumerated().reduce(0) { $0 | ($1.element ? 1 << UInt8($1.offset) : 0) })
    bits = []
  }

  private static func bytes(_ value: BrokerValue?, _ type: AMQPMethodRow.Field) -> [UInt8] {
    var (number, text, table): (UInt64, String, [UInt8]) = (0, "", [])
    switch value {
    case .number(let given)?: number = given
    case .text(let given)?: text = given
    case .table(let given)?: table = given
    case .bit?, nil: break
    }
    var output: [UInt8] = []
    switch type {
    case .bit: break
    case .short: output.append(big: UInt16(truncatingIfNeeded: number))
    case .long: output.append(big: UInt32(truncatingIfNeeded: number))
    case .longLong: output.append(big: number)
    case .shortString: output = AttackGrammar.short(text)
    case .longString: output = AttackGrammar.long(Array(text.utf8))
    case .table: output = AttackGrammar.long(table)
    }
    return output
  }
}

/// A method from the broker, with its content.
struct BrokerFrame {
  let channel: Int
  let name: String
  private(set) var numbers: [String: Int] = [:]
  private(set) var texts: [String: String] = [:]
  var body: [UInt8] = []
  /// The property `reply-to`.
  var replyTo: String?

  /// Reads the payload of a method frame; nil if the table does not have it.
  init?(channel: Int, _ payload: [UInt8]) {
    var reader = BrokerReader(payload)
    guard let classID = reader.number(2), let id = reader.number(2),
      let row = AMQPMethodRow.row(UInt16(classID), UInt16(id))
    else { return nil }
    self.channel = channel
    name = row.name
    var bit = 8
    var octet = 0
    for field in row.fields {
      if field.type == .bit {
        if bit == 8 {
          guard let next = reader.number(1) else { return nil }
          (octet, bit) = (next, 0)
        }
        numbers[field.name] = octet >> bit & 1
        bit += 1
        continue
      }
      bit = 8
      switch field.type {
      case .short: numbers[field.name] = reader.number(2)
      case .long: numbers[field.name] = reader.number(4)
      case .longLong: numbers[field.name] = reader.number(8)
      case .shortString: texts[field.name] = reader.text(1)
      case .longString, .table: texts[field.name] = reader.text(4)
      case .bit: break
      }
    }
  }

  var hasContent: Bool { ["basic.deliver", "basic.get-ok", "basic.return"].contains(name) }

  /// Reads the property `reply-to` from a content header.
  mutating func readHeader(_ payload: [UInt8]) -> Int {
    var reader = BrokerReader(payload)
    _ = reader.number(4)
    let size = reader.number(8) ?? 0
    let flags = reader.number(2) ?? 0
    for (bit, width) in [(15, 1), (14, 1), (13, 4)] where flags >> bit & 1 == 1 { _ = reader.text(width) }
    for bit in [12, 11] where flags >> bit & 1 == 1 { _ = reader.number(1) }
    if flags >> 10 & 1 == 1 { _ = reader.text(1) }
    if flags >> 9 & 1 == 1 { replyTo = reader.text(1) }
    return size
  }
}

/// Reads numbers and strings of AMQP. Everything behind the end is nil.
private struct BrokerReader {
  private let bytes: [UInt8]
  private var place = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  mutating func number(_ width: Int) -> Int? {
    guard place + width <= bytes.count else { return nil }
    defer { place += width }
    return bytes[place..<place + width].reduce(0) { $0 << 8 | Int($1) }
  }

  /// A string whose size has `width` bytes.
  mutating func text(_ width: Int) -> String? {
    guard let size = number(width), place + size <= bytes.count else { return nil }
    defer { place += size }
    return String(decoding: bytes[place..<place + size], as: UTF8.self)
  }
}
