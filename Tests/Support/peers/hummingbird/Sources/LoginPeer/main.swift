// `POST /login` by Hummingbird: the JSON of Parley's login in and out, without a password, tokens or a database.
// Usage: LoginPeer PORT
import Hummingbird
import Logging
import NIOPosix

struct Login: Decodable {
  let user: String
  let password: String
}

struct Tokens: ResponseEncodable {
  let access_token: String
  let refresh_token: String
  let token_type: String
  let expires_in: Int
}

/// As long as Parley's.
let token =
  "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9." + String(repeating: "a", count: 244) + "." + String(repeating: "b", count: 43)

let router = Router()
router.post("/login") { request, context -> Tokens in
  let login = try await request.decode(as: Login.self, context: context)
  guard login.user == "ann" else { throw HTTPError(.unauthorized) }
  return Tokens(access_token: token, refresh_token: token, token_type: "bearer", expires_in: 900)
}
var logger = Logger(label: "peer")
logger.logLevel = .error
let port = Int(CommandLine.arguments[1])!
// One thread, since it has one core: its best setting there.
let application = Application(
  router: router, configuration: .init(address: .hostname("127.0.0.1", port: port), serverName: nil),
  eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup(numberOfThreads: 1)), logger: logger)
try await application.runService()
