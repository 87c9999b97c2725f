import Environment

/// Writes the fields of a method or a content header.
struct AMQPWriter {
  /// The longest short string, in bytes. Its length is one octet (§4.2.5.3).
  static let maximumShortString = 255

  private(set) var bytes: [UInt8] = []
  private var bit: UInt8 = 8

  /// Creates a writer with room for a usual header.
  init() { bytes.reserveCapacity(96) }

  /// Creates a writer that continues `output`, which is empty until the caller takes `bytes` back.
  init(taking output: inout [UInt8]) {
    // Room for a small message, so that the array does not grow with each of its frames.
    if output.isEmpty { output.reserveCapacity(256) }
    swap(&bytes, &output)
  }

  mutating func number<N: FixedWidthInteger>(_ value: N) {
    bit = 8
    var shift = N.bitWidth
    while shift > 0 {
      shift -= 8
      bytes.append(UInt8(truncatingIfNeeded: value >> N(shift)))
    }
  }

  /// Overwrites a number that was written at `place`.
  mutating func overwrite<N: FixedWidthInteger>(_ value: N, at place: Int) {
    for index in 0..<N.bitWidth / 8 {
      bytes[place + index] = UInt8(truncatingIfNeeded: value >> N(N.bitWidth - 8 - 8 * index))
    }
  }

  /// Writes the size of what `body` writes, then that.
  mutating func sized(_ body: (inout AMQPWriter) -> Void) {
    let place = bytes.count
    number(UInt32(0))
    body(&self)
    overwrite(UInt32(bytes.count - place - 4), at: place)
    bit = 8
  }

  /// Writes the class id and the method id.
  mutating func method(_ classID: UInt16, _ id: UInt16) {
    number(classID)
    number(id)
  }

  mutating func flag(_ value: Bool) {
    if bit == 8 {
      bytes.append(0)
      bit = 0
    }
    if value { bytes[bytes.count - 1] |= 1 << bit }
    bit += 1
  }

  /// Writes a name or a property of at most 255 bytes. Longer ones are refused at the doors: by
  /// readers, `AMQPMessage.checkFraming` and `QueueRules`, and when rows are read back.
  mutating func shortString(_ text: String) {
    require(text.utf8.count <= Self.maximumShortString, "a short string of \(text.utf8.count) bytes")
    number(UInt8(text.utf8.count))
    bytes.append(utf8: text)
  }

  /// Writes a short string of any bytes. Its length has the same doors.
  mutating func text(_ text: AMQPText) {
    require(text.count <= Self.maximumShortString, "a short string of \(text.count) bytes")
    number(UInt8(text.count))
    text.append(to: &bytes)
  }

  /// Writes the text of an error. A text that quotes a long name is shortened, at the end of a
  /// character.
  mutating func replyText(_ text: String) {
    guard text.utf8.count > Self.maximumShortString else { return shortString(text) }
    let mark = "…"
    var short = ""
    var count = mark.utf8.count
    for scalar in text.unicodeScalars {
      count += UTF8.width(scalar)
      guard count <= Self.maximumShortString else { break }
      short.unicodeScalars.append(scalar)
    }
    shortString(short + mark)
  }

  mutating func longString(_ raw: [UInt8]) {
    number(UInt32(raw.count))
    bytes.append(contentsOf: raw)
  }

  mutating func table(_ table: AMQPTable) {
    sized { writer in
      for entry in table.entries {
        writer.text(entry.name)
        writer.value(entry.value)
      }
    }
  }

  mutating func raw(_ more: some Collection<UInt8>) {
    bit = 8
    bytes.append(contentsOf: more)
  }

  private mutating func value(_ value: AMQPValue) {
    func type(_ letter: Unicode.Scalar) { bytes.append(UInt8(ascii: letter)) }
    switch value {
    case .boolean(let flag): type("t"); number(flag ? UInt8(1) : 0)
    case .int8(let number): type("b"); self.number(number)
    case .uint8(let number): type("B"); self.number(number)
    case .int16(let number): type("s"); self.number(number)
    case .uint16(let number): type("u"); self.number(number)
    case .int32(let number): type("I"); self.number(number)
    case .uint32(let number): type("i"); self.number(number)
    case .int64(let number): type("l"); self.number(number)
    case .float(let raw): type("f"); number(raw)
    case .double(let raw): type("d"); number(raw)
    case .decimal(let scale, let raw): type("D"); number(scale); number(raw)
    case .string(let raw): type("S"); longString(raw)
    case .bytes(let raw): type("x"); longString(raw)
    case .array(let values):
      type("A")
      sized { writer in for value in values { writer.value(value) } }
    case .timestamp(let seconds): type("T"); number(seconds)
    case .table(let table): type("F"); self.table(table)
    case .void: type("V")
    }
  }
}
