import Environment
import System

extension Request {
  /// The method and the path.
  var line: String {
    switch self {
    case .register: "POST /register"
    case .login: "POST /login"
    case .refresh: "POST /refresh"
    case .addSession: "POST /add-session"
    case .getSessions: "GET /get-sessions"
    case .deleteSession: "DELETE /delete-session"
    case .deleteUser: "DELETE /delete-user"
    case .operate(let operation): "POST /operator/users/\(operation.action.rawValue)"
    }
  }

  /// The body; nil for a request without one.
  var body: JSONValue? {
    switch self {
    case .register(let email, let username, let password):
      ["email": .string(email), "username": .string(username), "password": .string(password)]
    case .login(let user, let password, _): ["user": .string(user), "password": .string(password)]
    case .refresh(let token): ["refresh_token": .string(token.raw)]
    case .addSession(let session, _), .deleteSession(let session, _): ["session_id": .string(session)]
    case .getSessions, .deleteUser: nil
    case .operate(let operation):
      .object(
        [.init("user", .string(operation.subject))]
          + (operation.password.map { [.init("password", .string($0))] } ?? [])
          + (operation.isTrial ? [.init("dry_run", true)] : []))
    }
  }

  /// The bearer token.
  var bearer: String? {
    switch self {
    case .register, .login, .refresh: nil
    case .addSession(_, let token), .getSessions(let token), .deleteSession(_, let token), .deleteUser(let token):
      token.raw
    case .operate(let operation): operation.token
    }
  }

  /// The bytes of the HTTP request.
  func bytes(host: SocketAddress) -> [UInt8] {
    var head = "\(line) HTTP/1.1\r\nhost: \(host)\r\n"
    if let bearer { head += "authorization: Bearer \(bearer)\r\n" }
    guard let body = body?.bytes else { return Array((head + "\r\n").utf8) }
    head += "content-type: application/json\r\ncontent-length: \(body.count)\r\n\r\n"
    return Array(head.utf8) + body
  }
}

extension Answer {
  init(_ response: HTTPResponse, to request: Request) {
    guard response.status == 200, let body = try? JSONParser.parse(response.body) else {
      self = .status(response.status)
      return
    }
    let account: String
    switch request {
    case .login(_, _, let name): account = name
    case .refresh(let token): account = token.account
    default: account = ""
    }
    if let access = body["access_token"]?.string.flatMap({ TokenFacts($0, account: account) }),
      let refresh = body["refresh_token"]?.string.flatMap({ TokenFacts($0, account: account) })
    {
      self = .tokens(access: access, refresh: refresh)
    } else if let sessions = body["sessions"]?.array {
      self = .sessions(sessions.compactMap { $0["session_id"]?.string })
    } else {
      self = .status(response.status)
    }
  }
}
