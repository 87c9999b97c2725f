@testable import Environment
@testable import System

/// Feeds a parser that keeps state. The first byte is the size of the pieces, since pieces have to
/// mean the same as the whole.
private func pieces(of input: [UInt8]) -> [[UInt8]] {
  guard let first = input.first else { return [] }
  let rest = input.dropFirst()
  let size = first == 0 ? max(1, rest.count) : Int(first)
  return stride(from: rest.startIndex, to: rest.endIndex, by: size).map {
    Array(rest[$0..<min($0 + size, rest.endIndex)])
  }
}

extension FuzzTarget {
  /// The parsers of data from the network.
  static let parsers = http + values + sockets + queues + databases + texts

  private static let http = [
    FuzzTarget("http-request") { input in
      var parser = HTTPRequestParser()
      for piece in pieces(of: input) {
        parser.receive(piece)
        do {
          while let event = try parser.next() {
            guard case .request(let request) = event else { continue }
            _ = (request.path, request.query, request.keepsAlive)
            for name: StaticString in ["host", "content-type", "cookie", "accept"] { _ = request.fields.all(name) }
            _ = try? WebSocketHandshake.response(to: request)
          }
        } catch { return }
      }
    },
    FuzzTarget("http-response") { input in
      var parser = HTTPResponseParser()
      for piece in pieces(of: input) {
        parser.receive(piece)
        do { while try parser.next() != nil {} } catch { return }
      }
      _ = try? parser.end()
    },
    FuzzTarget("event-stream") { input in
      var parser = EventStreamParser()
      for piece in pieces(of: input) {
        do { try parser.receive(piece) } catch { return }
        while parser.next() != nil {}
      }
    },
  ]

  private static let values = [
    FuzzTarget("json") { input in
      guard let value = try? JSONParser.parse(input) else { return }
      let written = value.bytes
      // A parsed value survives a round trip through its text.
      require((try? JSONParser.parse(written)) == value, "JSON does not survive being written")
    },
    FuzzTarget("json5") { input in _ = try? JSONParser.parseNotingPositions(input, as: .json5) },
    FuzzTarget("property-list") { input in
      guard let value = try? PropertyList.parse(input) else { return }
      _ = PropertyList.bytes(value)
    },
  ]

  private static let sockets = [
    FuzzTarget("websocket") { input in
      guard let first = input.first else { return }
      var parser = WebSocketParser(role: first & 1 == 0 ? .server : .client, limit: 1 << 20)
      for piece in pieces(of: Array(input.dropFirst())) {
        parser.receive(piece)
        do { while try parser.next() != nil {} } catch { return }
      }
    },
    FuzzTarget("engine-io") { input in
      if let packet = EngineIOPacket(text: input[...]) {
        require(EngineIOPacket(text: Array(packet.text.utf8)[...]) == packet, "a packet does not survive being written")
      }
      _ = EngineIOPacket.payload(input)
    },
    FuzzTarget("socket-io") { input in
      guard let packet = SocketIOPacket(text: String(decoding: input, as: UTF8.self)) else { return }
      var written: [UInt8] = []
      packet.write(to: &written)
      require(
        SocketIOPacket(text: String(decoding: written, as: UTF8.self)) == packet,
        "a packet does not survive being written")
    },
    FuzzTarget("traffic") { input in
      var decoder = TrafficDecoder()
      for (index, piece) in pieces(of: input).enumerated() {
        _ = decoder.receive(piece, fromClient: index == 0 || index % 3 != 0)
      }
    },
  ]

  private static let queues = [
    FuzzTarget("amqp-frames") { input in
      guard let first = input.first else { return }
      var parser = AMQPParser(isServer: first & 1 == 0)
      for piece in pieces(of: Array(input.dropFirst())) {
        parser.receive(piece)
        do {
          while let event = try parser.next() {
            if case .command(let command) = event { _ = try? command.readProperties() }
          }
        } catch { return }
      }
    },
    FuzzTarget("amqp-method") { input in
      guard let method = try? AMQPMethod(parsing: input[...]) else { return }
      let written = method.bytes
      require((try? AMQPMethod(parsing: written[...])) == method, "a method does not survive being written")
    },
    FuzzTarget("amqp-content") { input in
      let command = AMQPCommand(channel: 1, method: .txSelect, properties: input)
      let isRead = (try? command.readProperties()) != nil
      require(((try? PublishedProperties(input)) != nil) == isRead, "two readers disagree on properties")
      var reader = AMQPReader(input[...])
      guard let properties = try? AMQPProperties(&reader) else { return }
      let written = properties.bytes
      var again = AMQPReader(written[...])
      require((try? AMQPProperties(&again)) == properties, "properties do not survive being written")
    },
    FuzzTarget("amqp-table") { input in
      var reader = AMQPReader(input[...])
      guard let table = try? reader.table() else { return }
      var writer = AMQPWriter()
      writer.table(table)
      for entry in table.entries { _ = (entry.value.int, entry.value.text) }
      var again = AMQPReader(writer.bytes[...])
      require((try? again.table()) == table, "a table does not survive being written")
    },
    FuzzTarget("queue-message") { input in
      guard let first = input.first else { return }
      var properties = AMQPProperties()
      properties.headers = ["DATA_FORMAT": .text(["JSON", "BYTES"][Int(first & 1)])]
      let delivery = AMQPDelivery(
        properties: properties, body: Array(input.dropFirst()), isRedelivered: false, tag: 1)
      guard let message = try? QueueMessage(delivery) else { return }
      for source in ManagerSource.allCases { _ = try? ManagerInput(message, from: source) }
    },
  ]

  private static let databases = [
    FuzzTarget("postgres-backend") { input in
      var pipeline = PostgresPipeline(PostgresBackendParser())
      let statement = PostgresStatement(parameters: [.int8], columns: [PostgresColumn("n", .int8)])
      for _ in 0..<4 {
        _ = pipeline.prepare("s", "SELECT 1")
        _ = pipeline.run("s", statement, [.int(1)])
        _ = pipeline.sync()
        _ = pipeline.query("SELECT 1")
      }
      var parser = PostgresBackendParser()
      for piece in pieces(of: input) {
        pipeline.receive(piece)
        parser.receive(piece)
        do {
          while let message = try parser.next() {
            var written: [UInt8] = []
            message.write(to: &written)
            let again = try? PostgresBackendMessage(type: written[0], payload: written[5...])
            require(again == message, "a message does not survive being written")
          }
          while case let event? = try pipeline.next() {
            guard case .finished(_, let result) = event else { continue }
            for row in result.rows {
              for column in 0..<row.count {
                for type in [PostgresType.bool, .int8, .text, .bytea, .uuid, .timestamp] {
                  _ = try? PostgresValue(decoding: row[column], as: type, .binary)
                  _ = try? PostgresValue(decoding: row[column], as: type, .text)
                }
              }
            }
          }
        } catch { return }
      }
    },
    FuzzTarget("postgres-frontend") { input in
      var parser = PostgresFrontendParser()
      for piece in pieces(of: input) {
        parser.receive(piece)
        do {
          while let message = try parser.next() {
            if case .authentication(let bytes) = message { _ = try? PostgresSASL.readInitialResponse(bytes) }
            var written: [UInt8] = []
            message.write(to: &written)
          }
        } catch { return }
      }
    },
    FuzzTarget("postgres-handshake") { input in
      guard let first = input.first else { return }
      var startup = PostgresStartup(user: "u", password: "p", database: "d", isLocal: first & 1 == 0)
      startup.encryption = first & 2 == 0 ? .never : .ifOffered
      var handshake = PostgresHandshake(startup, nonce: Array(0..<18))
      _ = handshake.start()
      for piece in pieces(of: Array(input.dropFirst())) {
        guard let actions = try? handshake.receive(piece) else { return }
        for action in actions {
          switch action {
          case .startTLS:
            _ = handshake.tlsStarted(PostgresEncryption(endPoint: first & 4 == 0 ? nil : [1, 2], isVerified: true))
          // The work itself takes long on purpose.
          case .derive: guard (try? handshake.derived(Array(repeating: 0, count: 32))) != nil else { return }
          case .send, .ready: continue
          }
        }
      }
    },
    FuzzTarget("postgres-url") { input in
      let text = String(decoding: input, as: UTF8.self)
      if let url = try? PostgresURL(parsing: text), let host = url.hosts.first {
        _ = PostgresPasswordFile(text).password(host: host, database: url.database, user: url.user)
      }
      _ = PostgresURL.redacted(text)
    },
  ]

  private static let texts = [
    FuzzTarget("jwt") { input in
      let jwt = JWT(secrets: [Array("a secret of 32 bytes or a few more".utf8)])
      _ = try? jwt.verify(String(decoding: input, as: UTF8.self))
      // The same claims, signed: unsigned ones are refused early.
      if let claims = try? JSONParser.parse(input), claims.members != nil { _ = try? jwt.verify(jwt.sign(claims)) }
    },
    FuzzTarget("names") { input in
      let text = String(decoding: input, as: UTF8.self)
      _ = try? EmailAddress(parsing: text)
      _ = try? Username(parsing: text)
      _ = SupervisorID(text)
      _ = TokenID(text)
    },
    FuzzTarget("encodings") { input in
      _ = PercentEncoding.decode(input, plusIsSpace: input.count % 2 == 0)
      _ = PercentEncoding.decodeForm(input)
      if let bytes = Base64.decode(input) { require(Base64.decode(Base64.encode(bytes).utf8) == bytes, "base64") }
      if let bytes = Base64URL.decode(input) {
        var written: [UInt8] = []
        Base64URL.encode(bytes, to: &written)
        require(Base64URL.decode(written) == bytes, "base64url")
      }
      if let bytes = Hex.decode(input) { require(Hex.decode(Hex.encode(bytes).utf8) == bytes, "hex") }
      _ = HTML.escape(String(decoding: input, as: UTF8.self))
    },
    FuzzTarget("times") { input in
      if let duration = DurationText.parse(String(decoding: input, as: UTF8.self)) {
        _ = (DurationText.format(duration), Instant(nanoseconds: 0) + duration)
        _ = Timestamp(seconds: 0) + duration
      }
      guard input.count >= 8 else { return }
      let number = Int64(truncatingIfNeeded: input.prefix(8).reduce(0 as UInt64) { $0 << 8 | UInt64($1) })
      for time in [Timestamp(microseconds: number), Timestamp(seconds: number)] {
        _ = (time.rfc3339, time.httpDate)
      }
    },
  ]
}
