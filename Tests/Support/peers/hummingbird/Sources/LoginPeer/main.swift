// `POST /login` with Hummingbird. Reads and writes the JSON of Parley's login, without passwords,
// tokens or a database.
//
//     LoginPeer PORT
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

/// Has the length of Parley's token.
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
// One thread is fastest on one core.
let application = Application(
  router: router, configuration: .init(address: .hostname("127.0.0.1", port: port), serverName: nil),
  eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup(numberOfThreads: 1)), logger: logger)
try await application.runService()
