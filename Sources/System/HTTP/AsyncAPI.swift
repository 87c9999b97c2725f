/// The AsyncAPI 3.0 document, generated from the tables that the service validates messages
/// against.
struct AsyncAPIDocument {
  let service: ServiceDescription
  let tables: [MessageTable]

  /// The body of `GET /asyncapi.json`.
  var json: JSONValue {
    var channels: [JSONValue.Member] = []
    var operations: [JSONValue.Member] = []
    for table in tables {
      for address in addresses(of: table) {
        channels.append(.init(Self.id(address), channel(address, in: table)))
      }
      for row in table.rows { operations.append(.init(Self.id(of: row), operation(row, in: table))) }
    }
    return [
      "asyncapi": "3.0.0",
      "info": ["title": .string(service.title), "version": .string(service.version)],
      "defaultContentType": "application/json",
      "channels": .object(channels),
      "operations": .object(operations),
    ]
  }

  /// The channels of a table, in the order of its rows.
  private func addresses(of table: MessageTable) -> [String] {
    var found: [String] = []
    for row in table.rows where !found.contains(row.channel) { found.append(row.channel) }
    return found
  }

  private func channel(_ address: String, in table: MessageTable) -> JSONValue {
    var messages: [JSONValue.Member] = []
    for row in table.rows where row.channel == address {
      messages.append(.init(Self.id(of: row), message(row, in: table)))
      if let answer = row.answer {
        messages.append(.init(Self.answerID(of: row), self.answer(answer, to: row, in: table)))
      }
    }
    var members: [JSONValue.Member] = [.init("address", .string(address))]
    switch table.transport {
    case .socketIO:
      let note = table.notes[address].map { ". " + $0 } ?? ""
      members.append(
        .init("description", .string("A Socket.IO namespace (protocol 5, Engine.IO 4, at /socket.io/)" + note)))
    case .queues(let exchanges):
      let exchange = exchanges[address].map { "Its exchange is \($0), its routing key its name." } ?? ""
      members.append(.init("description", .string("A durable AMQP 0-9-1 queue. \(exchange)")))
      // A queue that exists once for each session is declared under its own name.
      let queue: JSONValue = [
        "name": .string(address), "durable": true, "exclusive": false, "autoDelete": false, "vhost": "/",
      ]
      members.append(.init("bindings", ["amqp": ["is": "queue", "queue": queue, "bindingVersion": "0.3.0"]]))
      let parameters = address.split(separator: "{").dropFirst().compactMap { $0.split(separator: "}").first }
      if !parameters.isEmpty {
        members.append(
          .init("parameters", .object(parameters.map { .init(String($0), ["description": "of the session"]) })))
      }
    }
    return .object(members + [.init("messages", .object(messages))])
  }

  private func message(_ row: MessageRow, in table: MessageTable) -> JSONValue {
    var members: [JSONValue.Member] = [
      .init("name", .string(row.name)), .init("summary", .string(row.summary)),
    ]
    switch table.transport {
    case .socketIO: members.append(.init("payload", row.data.document))
    case .queues:
      members.append(.init("headers", Self.headers.document))
      let type = Schema.Field("TYPE", .string(.init(values: [row.name])))
      members.append(.init("payload", Schema.object([type, .init("DATA", row.data)]).document))
    }
    return .object(members)
  }

  private func answer(_ schema: Schema, to row: MessageRow, in table: MessageTable) -> JSONValue {
    let summary =
      switch table.transport {
      case .socketIO: "The acknowledgement, where the client asks for one"
      case .queues: "The answer, in the queue that reply_to names, with the request's correlation_id"
      }
    return [
      "name": .string(row.name + " answer"), "summary": .string(summary), "payload": schema.document,
    ]
  }

  private func operation(_ row: MessageRow, in table: MessageTable) -> JSONValue {
    let channel = "#/channels/" + Self.id(row.channel)
    var members: [JSONValue.Member] = [
      .init("action", .string(row.direction.rawValue)), .init("summary", .string(row.summary)),
      .init("channel", ["$ref": .string(channel)]),
      .init("messages", [["$ref": .string("\(channel)/messages/\(Self.id(of: row))")]]),
    ]
    if row.answer != nil {
      members.append(
        .init(
          "reply",
          [
            "channel": ["$ref": .string(channel)],
            "messages": [["$ref": .string("\(channel)/messages/\(Self.answerID(of: row))")]],
          ]))
    }
    return .object(members)
  }

  /// The headers of a queue message.
  private static let headers = Schema.object([
    .init("SESSION_SUPERVISOR_ID", .string(.init(maximumLength: 64)), isRequired: false, "the supervisor that sends"),
    .init("SESSION_EPOCH", .integer(minimum: 0), isRequired: false, "its epoch"),
    .init("DATA_FORMAT", .string(.init(values: ["JSON", "BYTES"])), isRequired: false, "JSON without it"),
  ])

  private static func answerID(of row: MessageRow) -> String { id(of: row) + "_answer" }

  private static func id(of row: MessageRow) -> String { id(row.channel) + "_" + row.name }

  /// The key of a channel in the document. Keys consist of letters, digits, `.`, `-` and `_`.
  private static func id(_ address: String) -> String {
    let text = address.map { $0.isASCII && ($0.isLetter || $0.isNumber) || $0 == "_" ? String($0) : "" }.joined()
    return text.isEmpty ? "root" : text
  }
}
