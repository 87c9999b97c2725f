import System

/// The messages of an attacker to the queues of the services.
extension AttackGrammar {
  private struct Row {
    let exchange: String
    let queue: String
    /// The types of messages, with the members of their data.
    let messages: [(type: String, members: [String])]
  }

  private static let rows = [
    Row(
      exchange: "USER_MANAGER_EXCHANGE", queue: "UME_USER_SERVER",
      messages: [
        ("NEW_USER", ["USER_ID", "CONNECTION"]), ("REMOVE_USER", ["USER_ID", "CONNECTION"]),
        ("USER_MESSAGE", ["USER_ID", "MESSAGE_ID", "MESSAGE"]),
      ]),
    Row(
      exchange: "USER_MANAGER_EXCHANGE", queue: "UME_CUSTOMER_SERVER",
      messages: [
        ("START_SESSION", ["EMAIL", "SESSION_DATA"]), ("ADDITIONAL_USERS", ["SESSION_SUPERVISOR_ID", "USER_COUNT"]),
        ("END_SESSION", ["SESSION_SUPERVISOR_ID"]), ("END_SESSION", ["EMAIL"]),
      ]),
    Row(
      exchange: "USER_MANAGER_EXCHANGE", queue: "UME_SESSION_SUPERVISOR",
      messages: [
        ("INITIALIZE_SESSION", ["HOST"]), ("NEW_SESSION", ["USER_COUNT"]), ("ADDITIONAL_USERS", ["USER_COUNT"]),
        ("SEND_MESSAGE_TO_USER", ["USER_ID", "MESSAGE_FOR_USER"]), ("USER_RELEASED", ["LIST_USER_ID"]),
        ("APPEND_TRANSCRIPT", ["MESSAGE_ID", "FROM", "MESSAGE", "PREVIOUS"]), ("HEARTBEAT", ["HOST", "LEAVING"]),
      ]),
    Row(
      exchange: "SESSION_SUPERVISOR_EXCHANGE", queue: "SSE_HOSTS",
      messages: [("START_SUPERVISOR", ["SESSION_SUPERVISOR_ID", "EPOCH", "SESSION_DATA"])]),
    Row(
      exchange: "COMMUNICATION_INTERFACE_EXCHANGE", queue: "CIE_USER_MANAGER",
      messages: [("SEND_MESSAGE_TO_USER", ["USER_ID", "MESSAGE_FOR_USER"])]),
    Row(
      exchange: "CUSTOMER_SERVER_EXCHANGE", queue: "CSE_USER_MANAGER",
      messages: [
        ("SESSION_RUNNING", ["SESSION_SUPERVISOR_ID", "EMAIL"]),
        ("SESSION_MESSAGE", ["SESSION_SUPERVISOR_ID", "EMAIL", "SEQ", "FROM", "MESSAGE", "MESSAGE_ID"]),
        ("SESSION_ENDED", ["SESSION_SUPERVISOR_ID", "EMAIL"]),
      ]),
  ]

  /// The queue of a session's supervisor. It exists once the session is initialized.
  private static let sessionRow = Row(
    exchange: "SESSION_SUPERVISOR_EXCHANGE", queue: "SSE_1_UM",
    messages: [
      ("USER_MESSAGE", ["USER_ID", "MESSAGE_ID", "MESSAGE"]), ("USER_MANAGER_MESSAGE", ["TYPE", "DATA"]),
      ("CUSTOMER_MESSAGE", ["MESSAGE_ID", "MESSAGE"]),
    ])

  private func member(_ name: String) -> String {
    switch name {
    case "USER_ID", "FROM":
      source.pick([
        "1", "2", "\"\(persona.name)\"", "9223372036854775807", "-1", Self.quoted(String(repeating: "é", count: 127)),
        Self.quoted(String(repeating: "é", count: 300)), Self.quoted(String(repeating: "u", count: 255)),
      ])
    case "CONNECTION", "EPOCH", "SEQ": "\(source.pick(Self.integers))"
    case "USER_COUNT": source.once(in: 3) ? "\"ALL\"" : "\(source.pick(Self.integers))"
    case "LIST_USER_ID": "[" + (0..<source.pick([0, 1, 2, 100])).map { "\($0)" }.joined(separator: ",") + "]"
    case "SESSION_SUPERVISOR_ID": Self.quoted(supervisor())
    case "SESSION_DATA":
      object([
        ("USER_COUNT", source.once(in: 3) ? "\"ALL\"" : "\(source.pick(Self.integers))"),
        ("EMAIL", Self.quoted(persona.email)),
        ("x", json()),
      ])
    case "EMAIL": Self.quoted(source.once(in: 4) ? text() : persona.email)
    case "HOST": Self.quoted(source.pick([persona.name, "", "supervisor-1", text()]))
    case "LEAVING": source.pick(["true", "false", "null"])
    case "MESSAGE_ID", "PREVIOUS": Self.quoted(source.once(in: 3) ? text() : "m\(source.number(below: 4))")
    case "DATA": object([("LIST_USER_ID", "[1]"), ("USER_ID", "1")])
    case "TYPE": Self.quoted(source.pick(["USER_DISCONNECT", "USERS_ASSIGNED", "END_SESSION", "NO_SUCH_TYPE"]))
    default: json()
    }
  }

  private func supervisor() -> String { source.once(in: 4) ? text() : source.pick([persona.name, "1", "2"]) }

  /// A body that no service can read.
  private func spoiled(_ type: String) -> String {
    source.pick([
      "", "no JSON", "[]", "{}", "{\"TYPE\":7}", "{\"TYPE\":\"NO_SUCH_TYPE\",\"DATA\":{}}",
      "{\"TYPE\":\"\(type)\",\"DATA\":",
      "\u{0}\u{1}", String(repeating: "[", count: 1000), "{\"TYPE\":\"\(type)\",\"DATA\":\"\\ud800\"}",
      "{\"TYPE\":\(Self.quoted(text() + "?")),\"DATA\":{}}",
    ])
  }

  /// A message to a queue of the services, as frames. It is unreadable if there are other users:
  /// the services trust a message that they can read.
  func queueStep() -> [UInt8] {
    let row = source.once(in: 8) && persona.isAlone ? Self.sessionRow : source.pick(Self.rows)
    let message = source.pick(row.messages)
    var body: [UInt8]
    var more: [(name: String, value: [UInt8])] = []
    if persona.isAlone, source.number(below: 8) > 0 {
      let data = object(message.members.map { ($0, member($0)) })
      body = Array(object([("TYPE", Self.quoted(message.type)), ("DATA", data)]).utf8)
      if row.queue == "UME_SESSION_SUPERVISOR" {
        more.append(("SESSION_SUPERVISOR_ID", source.once(in: 8) ? fieldValue() : Self.value(supervisor())))
        if source.once(in: 2) {
          more.append(("SESSION_EPOCH", source.once(in: 4) ? fieldValue() : Self.value(source.pick(Self.integers))))
        }
      }
    } else {
      body = Array(spoiled(message.type).utf8)
    }
    if source.once(in: 8) { more.append(("DATA_FORMAT", Self.value(source.pick(["BYTES", "PICKLE", ""])))) }
    let reply = source.pick([nil, nil, "", persona.name + "-q0", persona.name + "-none"])
    return Self.publication(
      1, row.exchange, row.queue, flags: 0, properties: amqpProperties(more, replyTo: reply), body: body, source: source
    )
  }
}
