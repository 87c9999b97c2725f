import System

/// The frames of an attacker to the broker. It has its own writer, since that of the client refuses
/// invalid frames.
extension AttackGrammar {
  /// A queue of the attacker's own, or any name.
  private func queue() -> String {
    source.once(in: 8) ? text() : persona.name + "-q\(source.number(below: 4))"
  }

  private func exchange() -> String {
    source.number(below: 3) == 0
      ? source.pick(["", "amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.none", text()])
      : persona.name + "-x\(source.number(below: 3))"
  }

  private func routingKey() -> String {
    source.once(in: 6) ? source.pick(["", "#", "*", "a.b.c", "#.#.#.#.a", text()]) : queue()
  }

  // MARK: Fields

  /// A short string: at most 255 bytes.
  static func short(_ text: String) -> [UInt8] {
    let bytes = Array(text.utf8.prefix(255))
    return [UInt8(bytes.count)] + bytes
  }

  static func long(_ bytes: [UInt8]) -> [UInt8] {
    var output: [UInt8] = []
    output.append(big: UInt32(bytes.count))
    return output + bytes
  }

  static func table(_ entries: [(name: String, value: [UInt8])]) -> [UInt8] {
    long(entries.flatMap { short($0.name) + $0.value })
  }

  static func value(_ text: String) -> [UInt8] { [UInt8(ascii: "S")] + long(Array(text.utf8)) }

  static func value(_ number: Int64) -> [UInt8] {
    var output = [UInt8(ascii: "l")]
    output.append(big: number)
    return output
  }

  /// A field value of any type, valid or not.
  func fieldValue(depth: Int = 0) -> [UInt8] {
    let number = source.pick(Self.integers)
    var output: [UInt8] = []
    switch source.number(below: depth < 2 ? 15 : 12) {
    case 0, 1: return Self.value(number)
    case 2, 3: return Self.value(text())
    case 4: return [UInt8(ascii: "t"), UInt8(truncatingIfNeeded: number)]
    case 5: return [source.pick([UInt8(ascii: "b"), UInt8(ascii: "B")]), UInt8(truncatingIfNeeded: number)]
    case 6:
      output = [source.pick([UInt8(ascii: "s"), UInt8(ascii: "u")])]
      output.append(big: Int16(truncatingIfNeeded: number))
    case 7:
      output = [source.pick([UInt8(ascii: "I"), UInt8(ascii: "i"), UInt8(ascii: "f")])]
      output.append(big: Int32(truncatingIfNeeded: number))
    case 8:
      output = [source.pick([UInt8(ascii: "L"), UInt8(ascii: "T"), UInt8(ascii: "d")])]
      output.append(big: number)
    case 9: return [UInt8(ascii: "V")]
    case 10:
      output = [UInt8(ascii: "D"), UInt8(truncatingIfNeeded: number)]
      output.append(big: Int32(truncatingIfNeeded: number))
    case 11: return [source.pick([UInt8(ascii: "x"), UInt8(ascii: "S"), 0, 0xFF])] + Self.long([0xFF, 0xC3])
    case 12: return [UInt8(ascii: "A")] + Self.long(fieldValue(depth: depth + 1) + fieldValue(depth: depth + 1))
    case 13: return [UInt8(ascii: "F")] + Self.table([("a", fieldValue(depth: depth + 1))])
    default:
      output = Self.value(0)
      for _ in 0..<source.pick([15, 16, 17, 200]) { output = [UInt8(ascii: "F")] + Self.table([("a", output)]) }
    }
    return output
  }

  private func arguments(_ known: [(name: String, value: () -> [UInt8])]) -> [UInt8] {
    var entries: [(String, [UInt8])] = []
    for _ in 0..<source.number(below: 5) {
      let argument = source.pick(known)
      entries.append((argument.name, source.once(in: 4) ? fieldValue() : argument.value()))
    }
    return Self.table(entries)
  }

  /// The value of a queue argument: at the limits of the table, one beyond each, or one of its
  /// choices.
  private func value(_ row: QueueArgument) -> [UInt8] {
    switch row.kind {
    case .any: fieldValue()
    case .boolean: [UInt8(ascii: "t"), UInt8(source.number(below: 2))]
    case .name: Self.value(source.pick(["", exchange(), queue()]))
    case .choice(let choices): Self.value(source.pick(choices + ["stream"]))
    case .number(let range):
      Self.value(source.pick([range.lowerBound, range.lowerBound + 1, 2, 50, range.upperBound, range.upperBound &+ 1]))
    }
  }

  private var queueArguments: [UInt8] {
    // Usually those that make many messages move. Otherwise any of the table.
    if source.once(in: 3) {
      return arguments(QueueArgument.all.map { row in (row.name, { value(row) }) })
    }
    let time = { Self.value(source.pick([0, 1, 10, 50, 4_294_967_295, 4_294_967_296, .max])) }
    let length = { Self.value(source.pick([0, 1, 2, 3, 1_000_000, 1_000_001, .max])) }
    return arguments([
      ("x-dead-letter-exchange", { Self.value(source.once(in: 2) ? "" : exchange()) }),
      ("x-dead-letter-routing-key", { Self.value(queue()) }), ("x-message-ttl", time), ("x-max-length", length),
      ("x-expires", time), ("x-max-length-bytes", length), ("x-max-priority", length),
      ("x-overflow", { Self.value(source.pick(["drop-head", "reject-publish", "reject-publish-dlx"])) }),
      ("x-queue-type", { Self.value(source.pick(["classic", "quorum", "stream"])) }),
      ("x-single-active-consumer", { [UInt8(ascii: "t"), 1] }), ("x-unknown", { fieldValue() }), ("", { fieldValue() }),
    ])
  }

  // MARK: Methods

  private func method(_ classID: UInt16, _ id: UInt16, _ fields: [UInt8] = []) -> [UInt8] {
    var output: [UInt8] = []
    output.append(big: classID)
    output.append(big: id)
    return output + fields
  }

  static func frame(_ type: UInt8, _ channel: UInt16, _ payload: [UInt8]) -> [UInt8] {
    var output = [type]
    output.append(big: channel)
    return output + long(payload) + [0xCE]
  }

  /// The frames from the protocol header to two open channels. A few have invalid values, since an
  /// invalid login ends the conversation.
  func amqpGreeting(user: String, password: String) -> [[UInt8]] {
    let secret = source.once(in: 16) ? text() : password
    let response = [0] + Array(user.utf8) + [0] + Array(secret.utf8)
    var tuning: [UInt8] = []
    tuning.append(big: source.mostly(2047, [0, 1, 65_535]) as UInt16)
    tuning.append(big: source.mostly(131_072, [0, 4096, 8, .max]) as UInt32)
    tuning.append(big: source.mostly(0, [60, 1, 65_535]) as UInt16)
    return [
      source.once(in: 32) ? Array("AMQP".utf8) + [0, 1, 0, 0] : Array("AMQP".utf8) + [0, 0, 9, 1],
      Self.frame(
        1, 0,
        method(
          10, 11,
          (source.once(in: 16) ? arguments([("capabilities", { fieldValue() })]) : Self.table([])) + Self.short("PLAIN")
            + Self.long(response)
            + Self.short("en_US"))),
      Self.frame(1, 0, method(10, 31, tuning)), Self.frame(1, 0, method(10, 40, Self.short("/") + [0, 0])),
      Self.frame(1, 1, method(20, 10, [0])), Self.frame(1, 2, method(20, 10, [0])),
    ]
  }

  /// Any method of the table that clients send, with values in its fields that suit their names.
  private func anyMethod(_ channel: UInt16) -> [UInt8] {
    // Content would have to follow `basic.publish`, and `queue.declare` has a case of its own.
    let rows = AMQPMethodRow.all.filter {
      $0.sender != .broker && $0.classID != 10 && !["basic.publish", "queue.declare"].contains($0.name)
    }
    let row = source.pick(rows)
    var fields: [UInt8] = []
    var bit = 8
    for field in row.fields {
      if field.type == .bit {
        if bit == 8 {
          fields.append(0)
          bit = 0
        }
        if source.once(in: 3) { fields[fields.count - 1] |= 1 << UInt8(bit) }
        bit += 1
        continue
      }
      bit = 8
      fields += self.field(field.name, field.type)
    }
    return one(channel, row.classID, row.id, fields)
  }

  private func field(_ name: String, _ type: AMQPMethodRow.Field) -> [UInt8] {
    var output: [UInt8] = []
    switch (name, type) {
    case ("reserved", .short): return [0, 0]
    case ("queue", _): return Self.short(queue())
    case ("source", _): return Self.short(exchange())
    // What is bound to or deleted is the attacker's own.
    case ("exchange", _), ("destination", _): return Self.short(persona.name + "-x\(source.number(below: 3))")
    case ("routing-key", _): return Self.short(routingKey())
    case ("consumer-tag", _): return Self.short(source.pick(["c", "", text()]))
    case ("type", _): return Self.short(source.pick(["direct", "fanout", "topic", "headers", "x"]))
    case (_, .table):
      return arguments([
        ("x-match", { Self.value(source.pick(["all", "any", "any-with-x", "x"])) }), ("x-priority", { fieldValue() }),
        ("alternate-exchange", { Self.value(exchange()) }), ("a", { fieldValue() }),
      ])
    case (_, .shortString): return Self.short(text())
    case (_, .longString): return Self.long(Array(text().utf8))
    case (_, .longLong): return tag()
    case (_, .long): output.append(big: source.pick([0, 0, 1, UInt32.max]))
    case (_, .short): output.append(big: source.pick([0, 1, 320, UInt16.max]))
    case (_, .bit): break
    }
    return output
  }

  /// Packed bits.
  private func bits() -> UInt8 { UInt8(source.number(below: 32)) }

  private func tag() -> [UInt8] {
    var output: [UInt8] = []
    output.append(big: source.pick([1, 2, 3, 0, 10, .max, .min]) as Int64)
    return output
  }

  /// One step: a method on a channel, with its content if it has one.
  func amqpStep() -> [UInt8] {
    // A wrong channel ends the conversation, so it is rare.
    let channel: UInt16 = source.mostly(source.pick([1, 1, 2]), [3, 0, 2047, 65_535])
    // The attacker never declares an exclusive queue: its own later declarations would fail.
    switch source.number(below: 28) {
    case 0, 1, 2:
      return one(
        channel, 50, 10, [0, 0] + Self.short(queue()) + [source.pick([2, 2, 0, 4, 8, 1, 18])] + queueArguments)
    case 3:
      return one(
        channel, 40, 10,
        [0, 0] + Self.short(exchange()) + Self.short(source.pick(["direct", "fanout", "topic", "headers", "x", ""]))
          + [source.pick([2, 0, 1, 10, 18])] + arguments([("alternate-exchange", { Self.value(exchange()) })]))
    case 4, 5:
      return one(
        channel, 50, 20,
        [0, 0] + Self.short(queue()) + Self.short(exchange()) + Self.short(routingKey()) + [0]
          + arguments([("x-match", { fieldValue() })]))
    case 6, 7, 8, 9, 10, 11, 12: return publication(channel)
    case 13, 14: return one(channel, 60, 70, [0, 0] + Self.short(queue()) + [bits() & 1])
    case 15, 16:
      return one(
        channel, 60, 20,
        [0, 0] + Self.short(queue()) + Self.short(source.pick(["", "c", text()])) + [bits()]
          + arguments([("x-priority", { fieldValue() })]))
    case 17: return one(channel, 60, 80, tag() + [bits() & 1])
    case 18, 19: return one(channel, 60, 120, tag() + [bits() & 3])
    case 20: return one(channel, 60, 90, tag() + [bits() & 1])
    case 21:
      var fields: [UInt8] = []
      fields.append(big: UInt32(source.pick([0, 1])))
      fields.append(big: UInt16(source.pick([0, 1, 65_535])))
      return one(channel, 60, 10, fields + [bits() & 1])
    case 22: return one(channel, 60, source.pick([110, 100]), [bits() & 1])
    case 23: return one(channel, 85, 10, [bits() & 1])
    case 24: return leaving(channel)
    case 25: return anyMethod(channel)
    case 26: return transaction(channel)
    default:
      return one(
        channel, UInt16(source.pick([0, 10, 20, 30, 40, 50, 60, 70, 85, 90, 65_535])),
        UInt16(source.pick([0, 10, 11, 20, 21, 30, 40, 50, 51, 60, 70, 71, 80, 90, 111, 120, 65_535])),
        source.pick([[], [0], [0, 0, 0], Array(repeating: 0xFF, count: 20)]))
    }
  }

  /// A publication and a settlement in a transaction, which is committed, rolled back or left open.
  private func transaction(_ channel: UInt16) -> [UInt8] {
    let end: [UInt8] = source.pick([[], one(channel, 90, 20, []), one(channel, 90, 30, [])])
    return one(channel, 90, 10, []) + publication(channel) + one(channel, 60, 80, tag() + [bits() & 1]) + end
  }

  private func leaving(_ channel: UInt16) -> [UInt8] {
    let name = Self.short(queue())
    switch source.number(below: 8) {
    case 0: return one(channel, 50, 30, [0, 0] + name + [0])
    case 1: return one(channel, 50, 40, [0, 0] + name + [bits() & 7])
    case 2:
      return one(channel, 50, 50, [0, 0] + name + Self.short(exchange()) + Self.short(routingKey()) + Self.table([]))
    case 3:
      return one(channel, 40, 20, [0, 0] + Self.short(persona.name + "-x\(source.number(below: 3))") + [bits() & 3])
    case 4: return one(channel, 60, 30, Self.short("c") + [bits() & 1])
    case 5: return one(channel, 20, 40, [0, 200] + Self.short(text()) + [0, 0, 0, 0]) + one(channel, 20, 10, [0])
    case 6: return one(channel, 20, 20, [bits() & 1])
    // The same channel again: an error of the whole connection.
    default: return one(channel, 20, 10, [0])
    }
  }

  private func one(_ channel: UInt16, _ classID: UInt16, _ id: UInt16, _ fields: [UInt8]) -> [UInt8] {
    mangled(Self.frame(1, channel, method(classID, id, fields)))
  }

  private func publication(_ channel: UInt16) -> [UInt8] {
    // The default exchange leads to queues of any name: there only its own.
    let exchange = exchange()
    let key = exchange.isEmpty ? persona.name + "-q\(source.number(below: 4))" : routingKey()
    return Self.publication(
      channel, exchange, key, flags: bits() & 1, properties: amqpProperties(),
      body: [UInt8](repeating: 0x61, count: source.pick([0, 1, 100, 5000, 70_000])), source: source)
  }

  /// A publication whose header may announce another size than its body has.
  static func publication(
    _ channel: UInt16, _ exchange: String, _ key: String, flags: UInt8, properties: [UInt8], body: [UInt8],
    source: any AttackSource
  ) -> [UInt8] {
    var method: [UInt8] = [0, 60, 0, 40, 0, 0]
    method += short(exchange) + short(key) + [flags]
    var header: [UInt8] = [0, 60, 0, 0]
    let size = Int64(body.count)
    header.append(big: source.once(in: 24) ? source.pick([0, size + 1, 16 << 20, (16 << 20) + 1, .max, -1]) : size)
    return frame(1, channel, method) + frame(2, channel, header + properties)
      + (body.isEmpty ? [] : frame(3, channel, body))
  }

  /// The property flags and the properties.
  func amqpProperties(_ more: [(name: String, value: [UInt8])] = [], replyTo: String? = nil) -> [UInt8] {
    var flags: UInt16 = 0
    var list: [UInt8] = []
    func add(_ bit: UInt16, _ isThere: Bool, _ value: @autoclosure () -> [UInt8]) {
      guard isThere else { return }
      flags |= 1 << bit
      list += value()
    }
    add(15, source.once(in: 6), Self.short(text()))
    let headers = source.once(in: 2)
    add(13, headers || !more.isEmpty, Self.table(more + (headers ? [self.header()] : [])))
    add(12, source.number(below: 4) > 0, [source.pick([2, 2, 1, 0, 255])])
    add(11, source.once(in: 6), [UInt8(source.pick([0, 9, 10, 255]))])
    add(10, source.once(in: 4), Self.short(text()))
    let reply = replyTo ?? source.pick(["", "", persona.name + "-q0", text()])
    add(9, replyTo != nil || source.once(in: 4), Self.short(reply))
    let times = [
      "0", "1", "20", "4294967295", "4294967296", "9223372036854775807", "9223372036854775808", "-1", "", "x",
    ]
    add(8, source.once(in: 4), Self.short(source.pick(times)))
    add(7, source.once(in: 3), Self.short(text()))
    add(6, source.once(in: 8), [UInt8](repeating: 0xFF, count: 8))
    add(4, source.once(in: 8), Self.short(text()))
    add(0, source.once(in: 64), [])
    var output: [UInt8] = []
    output.append(big: flags)
    return output + list
  }

  /// A header, often `x-death`, in which the broker counts deaths.
  private func header() -> (name: String, value: [UInt8]) {
    switch source.number(below: 4) {
    case 0:
      let death = Self.table([
        ("queue", Self.value(queue())), ("reason", Self.value(source.pick(["expired", "rejected", "maxlen", "x"]))),
        ("count", source.once(in: 3) ? fieldValue() : Self.value(source.pick(Self.integers))),
        ("exchange", Self.value(exchange())), ("routing-keys", [UInt8(ascii: "A")] + Self.long(fieldValue())),
      ])
      return ("x-death", [UInt8(ascii: "A")] + Self.long([UInt8(ascii: "F")] + death))
    case 1: return ("x-death", fieldValue())
    case 2: return (source.pick(["CC", "BCC", "x-delay", "x-first-death-queue"]), fieldValue())
    // Nearly a whole frame, so that no other header fits.
    default: return (text(), source.once(in: 4) ? Self.value(String(repeating: "h", count: 130_000)) : fieldValue())
    }
  }
}
