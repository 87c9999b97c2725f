import Environment
import System

/// The HTTP services as an attacker sees them: routes and their parameters.
enum AttackedService: String, CaseIterable, Sendable {
  case users, chat, customers, manager

  var address: SocketAddress {
    switch self {
    case .users: Scenario.usersAddress
    case .chat: Scenario.chatAddress
    case .customers: Scenario.customersAddress
    case .manager: Scenario.managerAddress
    }
  }

  /// A route, with the names of its parameters; see `AttackGrammar.parameter`.
  typealias Row = (line: String, parameters: [String])

  private static let common: [Row] = [
    ("GET /health", []), ("GET /metrics", []), ("GET /openapi.json", []), ("GET /docs", []), ("OPTIONS *", []),
    ("TRACE /", []), ("GET /%00", []), ("GET //", []), ("CONNECT a:1", []),
  ]

  var rows: [Row] {
    switch self {
    case .users:
      Self.common + [
        ("POST /register", ["email", "username", "password"]), ("POST /login", ["user", "password"]),
        ("POST /login", ["user", "password"]), ("POST /refresh", ["refresh_token"]),
        ("POST /add-session", ["session_id"]),
        ("POST /add-session", ["session_id"]), ("GET /get-sessions", []), ("DELETE /delete-session", ["session_id"]),
        ("POST /check_node", ["EMAIL", "PASSWORD", "TYPE"]), ("GET /session-events", []),
        ("POST /services/login", ["user", "password", "session_id", "address"]),
        ("POST /services/register", ["username", "password"]), ("POST /services/sessions", ["session_id"]),
        ("GET /services/last-event", []),
      ]
    case .chat:
      Self.common + [
        ("POST /register", ["username", "password", "public_key"]), ("POST /login", ["username", "password"]),
        ("GET /login", ["username", "password"]), ("POST /addContact", ["sessionID", "contact"]),
        ("POST /changeContact", ["sessionID", "contact", "status"]), ("GET /getContacts", ["sessionID"]),
        ("GET /getContactMessages", ["sessionID", "contact", "limit", "before", "after"]),
        ("POST /createGroup", ["sessionID", "name", "members"]),
        ("POST /createGroup", ["sessionID", "name", "members"]),
        ("POST /addGroupMember", ["sessionID", "group_id", "member"]),
        ("POST /removeGroupMember", ["sessionID", "group_id", "member"]), ("GET /getGroups", ["sessionID"]),
        ("GET /getGroupMessages", ["sessionID", "group_id", "limit", "before", "after"]),
        ("GET /socket.io/?EIO=4&transport=polling", []), ("POST /socket.io/?EIO=4&transport=polling&sid=x", []),
      ]
    case .customers:
      Self.common + [
        ("POST /requestSessionCreation", ["EMAIL", "PASSWORD", "PERSONA_TYPE", "DATA"]),
        ("POST /requestSessionCreation", ["EMAIL", "PASSWORD", "PERSONA_TYPE", "DATA"]),
        ("POST /initializeSession", ["EMAIL", "SESSION_TOKEN"]),
        ("PUT /handleSessionRequests", ["EMAIL", "SESSION_TOKEN", "REQUEST", "DATA"]), ("GET /serverRunning", []),
        ("GET /sessionSTATUS", ["message"]),
      ]
    case .manager:
      Self.common + [
        ("POST /SessionSupervisor/NewSession", ["USER_COUNT"]), ("POST /UserServer", ["TYPE", "DATA"]),
        ("POST /CustomerServer", ["TYPE", "DATA"]), ("GET /overview", []), ("GET /SessionSupervisor", []),
        ("GET /UserServer", []), ("GET /CustomerServer", []),
      ]
    }
  }
}

/// The requests of an attacker to an HTTP service.
extension AttackGrammar {
  /// A valid value of a parameter, as JSON.
  private func parameter(_ name: String) -> String {
    switch name {
    case "email", "EMAIL": Self.quoted(persona.email)
    case "user", "username": Self.quoted(persona.name)
    case "password": Self.quoted(source.once(in: 3) ? "a wrong guess" : persona.password)
    // With the right password the attacker would get a session, and users that others wait for.
    case "PASSWORD": Self.quoted(persona.isAlone ? persona.password : "a wrong guess")
    case "refresh_token": Self.quoted(persona.refreshToken)
    case "sessionID": Self.quoted(persona.sessionID)
    case "session_id": Self.quoted(persona.name + String(repeating: "s", count: source.pick([0, 1, 40, 64, 65])))
    case "contact", "member": Self.quoted(persona.name + "-\(source.number(below: 3))")
    case "status": Self.quoted(source.pick(["new", "friend", "blocked", "none"]))
    case "members":
      "[" + (0..<source.pick([0, 1, 3])).map { Self.quoted(persona.name + "-\($0)") }.joined(separator: ",") + "]"
    case "group_id", "limit", "before", "after": "\(source.pick(Self.integers))"
    case "PERSONA_TYPE", "TYPE":
      Self.quoted(source.pick(["CUSTOMERS", "NEW_USER", "START_SESSION", "ADDITIONAL_USERS"]))
    case "USER_COUNT": source.pick(["1", "\"ALL\"", "1000000", "1000001", "9223372036854775807"])
    case "DATA":
      object([
        ("USER_COUNT", "\(source.pick(Self.integers))"), ("MESSAGE", json()),
        ("AFTER", "\(source.pick(Self.integers))"),
        ("USER_ID", json()), ("CONNECTION", "\(source.pick(Self.integers))"), ("EMAIL", Self.quoted(persona.email)),
      ])
    case "REQUEST": Self.quoted(source.pick(["SEND_MESSAGE", "GET_MESSAGES", "ADDITIONAL_USERS", "END_SESSION"]))
    case "message": Self.quoted(object([("PERSONA_TYPE", "\"CUSTOMERS\""), ("EMAIL", Self.quoted(persona.email))]))
    case "address": Self.quoted(source.pick(["10.0.0.1", "", "::1", text()]))
    default: Self.quoted(text())
    }
  }

  /// One request.
  func request(to service: AttackedService, serviceToken: String?) -> [UInt8] {
    let row = source.pick(service.rows)
    var line = row.line
    let fields = row.parameters.map { (name: $0, value: parameter($0)) }
    var body: [UInt8] = []
    var type = "application/json"
    if !fields.isEmpty {
      switch source.number(below: 8) {
      case 0, 1:
        line += (line.contains("?") ? "&" : "?") + form(fields)
        if service != .chat { body = Array(object(fields).utf8) }
      case 2:
        (body, type) = (Array(form(fields).utf8), "application/x-www-form-urlencoded")
      case 3:
        (body, type) = (propertyList(fields), "application/bytes")
      default: body = Array(object(fields).utf8)
      }
      if line.hasPrefix("GET"), !line.contains("?") { line += "?" + form(fields) }
    }
    if source.once(in: 12) { body = Array(json().utf8) }
    let version = source.once(in: 16) ? source.pick(["HTTP/1.0", "HTTP/2.0", "HTTP/1.2", "HTTP/9.9", ""]) : "HTTP/1.1"
    var head = "\(line) \(version)\r\n"
    for field in headers(service, serviceToken) { head += "\(field)\r\n" }
    if !body.isEmpty { head += "Content-Type: \(source.once(in: 16) ? text() : type)\r\n" }
    return mangled(framed(head, body))
  }

  private func framed(_ head: String, _ body: [UInt8]) -> [UInt8] {
    switch source.number(below: 12) {
    case 0:
      let size = source.pick(["0", "-1", "+3", "18446744073709551616", "9223372036854775807", "3, 3", "1048577", ""])
      return Array("\(head)Content-Length: \(size)\r\n\r\n".utf8) + body
    case 1:
      let size = source.pick([Self.hex(body.count), "ffffffffffffffff", "7fffffffffffffff", "0", "-1", "1;a=\"b\""])
      return Array("\(head)Transfer-Encoding: chunked\r\n\r\n\(size)\r\n".utf8) + body + Array("\r\n0\r\n\r\n".utf8)
    case 2: return Array("\(head)Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n".utf8)
    case 3: return Array("\(head)Expect: 100-continue\r\nContent-Length: \(body.count)\r\n\r\n".utf8) + body
    default:
      return Array((body.isEmpty ? head + "\r\n" : "\(head)Content-Length: \(body.count)\r\n\r\n").utf8) + body
    }
  }

  private static func hex(_ number: Int) -> String { String(number, radix: 16) }

  private func headers(_ service: AttackedService, _ serviceToken: String?) -> [String] {
    var fields = source.once(in: 24) ? [] : ["Host: \(service.address)"]
    if source.number(below: 4) > 0 {
      let token = source.pick([persona.accessToken, persona.accessToken, serviceToken ?? "none", "none", "a.b.c"])
      fields.append("Authorization: Bearer \(token)")
    }
    switch source.number(below: 16) {
    case 0: fields.append("X-Forwarded-For: \(text())")
    case 1: fields.append("Connection: \(source.pick(["close", "keep-alive", "upgrade", "a,b,c,close"]))")
    case 2: fields.append("Origin: \(source.pick(["null", "https://evil.example", text()]))")
    case 3: fields.append("SESSION_SUPERVISOR_ID: \(source.pick([persona.name, "1", "", text()]))")
    case 4: fields.append("SESSION_EPOCH: \(source.pick(Self.integers))")
    case 5: fields.append("Last-Event-ID: \(source.pick(Self.integers))")
    case 6: fields.append("X-Request-ID: \(text())")
    case 7: fields += (0..<source.pick([1, 100, 1000])).map { "X-\($0): a" }
    case 8: fields.append("Host: twice")
    case 9: fields.append("X-Long: " + String(repeating: "a", count: source.pick([32_000, 33_000])))
    case 10: fields.append(source.pick([" folded", "a : b", ":", "a\u{0}: b", "Cookie: a=b; a=b; ;;="]))
    default: break
    }
    return fields
  }

  private func form(_ fields: [(name: String, value: String)]) -> String {
    fields.map { field in
      let bare = field.value.hasPrefix("\"") ? String(field.value.dropFirst().dropLast()) : field.value
      let value = source.once(in: 8) ? text() : bare
      return field.name + "=" + (source.once(in: 16) ? "%zz%" : PercentEncoding.encode(value))
    }.joined(separator: "&")
  }

  /// A property list with the same members, or one with many references to one object.
  private func propertyList(_ fields: [(name: String, value: String)]) -> [UInt8] {
    if source.once(in: 4) { return Self.sharedPropertyList(references: source.pick([10, 1000, 5000]), bytes: 1000) }
    let members = fields.map { field in
      JSONValue.Member(field.name, (try? JSONParser.parse(Array(field.value.utf8))) ?? .string(field.value))
    }
    return mangled(PropertyList.bytes(.object(members)))
  }

  /// A property list with `references` to one string of `bytes` bytes. It is small on the wire, and
  /// large for a parser that copies the string.
  static func sharedPropertyList(references: Int, bytes: Int) -> [UInt8] {
    var output = Array("bplist00".utf8)
    func integer(_ number: Int) -> [UInt8] {
      var size: [UInt8] = [0x12]
      size.append(big: UInt32(number))
      return size
    }
    let list = output.count
    output += [0xAF] + integer(references) + [UInt8](repeating: 1, count: references)
    let string = output.count
    output += [0x5F] + integer(bytes) + [UInt8](repeating: 0x61, count: bytes)
    let table = output.count
    for offset in [list, string] { output.append(big: UInt32(offset)) }
    output += [0, 0, 0, 0, 0, 0, 4, 1]
    for number in [2, 0, table] { output.append(big: UInt64(number)) }
    return output
  }
}
