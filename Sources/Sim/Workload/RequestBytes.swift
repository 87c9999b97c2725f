import Environment
import System

extension Request {
  /// The bytes of the HTTP request.
  func bytes(host: SocketAddress) -> [UInt8] {
    switch self {
    case .register(let email, let username, let password):
      Self.message(
        "POST /register", host, nil,
        ["email": .string(email), "username": .string(username), "password": .string(password)])
    case .login(let user, let password, _):
      Self.message("POST /login", host, nil, ["user": .string(user), "password": .string(password)])
    case .refresh(let token): Self.message("POST /refresh", host, nil, ["refresh_token": .string(token.raw)])
    case .addSession(let session, let token):
      Self.message("POST /add-session", host, token, ["session_id": .string(session)])
    case .getSessions(let token): Self.message("GET /get-sessions", host, token, nil)
    case .deleteSession(let session, let token):
      Self.message("DELETE /delete-session", host, token, ["session_id": .string(session)])
    case .deleteUser(let token): Self.message("DELETE /delete-user", host, token, nil)
    }
  }

  private static func message(_ line: String, _ host: SocketAddress, _ token: TokenFacts?, _ json: JSONValue?)
    -> [UInt8]
  {
    var head = "\(line) HTTP/1.1\r\nhost: \(host)\r\n"
    if let token { head += "authorization: Bearer \(token.raw)\r\n" }
    let body = json?.bytes ?? []
    if json != nil { head += "content-type: application/json\r\ncontent-length: \(body.count)\r\n" }
    return Array((head + "\r\n").utf8) + body
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
