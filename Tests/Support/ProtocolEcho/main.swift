import Environment
import CLinux
import Glibc
import Real
import System

/// A server for the public test suites of Engine.IO, Socket.IO and WebSocket. It echoes all
/// messages.
final class Echo: SocketApplication {
  let server: SocketIOServer<Echo>
  let clock: any Clock

  init(server: SocketIOServer<Echo>, clock: any Clock) {
    self.server = server
    self.clock = clock
  }

  func admit(_ socket: SocketID, query: [(name: String, value: String)], auth: JSONValue) async -> SocketAdmission {
    .accepted(rooms: [])
  }

  func connected(_ socket: SocketID, auth: JSONValue) async {
    // The suites lose a message that arrives in the same read as another, so this one is delayed.
    do { try await clock.sleep(for: .milliseconds(5)) } catch { return }
    await server.emit("auth", SocketPayload([auth]), to: socket)
  }

  func event(_ name: String, _ payload: SocketPayload, from socket: SocketID) async -> SocketPayload {
    if name == "message" { await server.emit("message-back", payload, to: socket) }
    return payload
  }

  func disconnected(_ socket: SocketID, reason: String) async {}
}

signal(SIGPIPE, SIG_IGN)
parley_line_buffer_stdout()
func argument(_ name: String) -> Int? {
  let arguments = CommandLine.arguments
  guard let index = arguments.firstIndex(of: name), index + 1 < arguments.count else { return nil }
  return Int(arguments[index + 1])
}
let port = argument("--port").flatMap { UInt16(exactly: $0) } ?? 3000
let pingTimeout = Int64(argument("--ping-timeout") ?? 200)
let folder = "/tmp/parley-protocol-echo-\(getpid())"
let node = RealNode(
  "echo", storage: try RealStorage(path: folder), disk: OffloadPool(threads: 1), compute: OffloadPool(threads: 1),
  log: LogWriter(), level: .warning)
rmdir(folder)
let address = SocketAddress(host: "localhost", port: port)
let listening = try node.run { environment in
  var options = EngineIOOptions()
  options.pingInterval = .milliseconds(300)
  options.pingTimeout = .milliseconds(pingTimeout)
  options.connectTimeout = .seconds(1)
  let sockets = SocketIOServer<Echo>(environment, options: options, namespaces: ["/", "/custom"])
  let echo = Echo(server: sockets, clock: environment.clock)
  let engine = EchoServers.engine(environment, options)
  let description = ServiceDescription(
    name: "echo", title: "Protocol echo", version: "1", errorSchema: .object([.init("error", .string())])
  ) { ["error": .string($0)] }
  let server = HTTPServer(
    environment, try environment.network.listen(address, backlog: 16), service: description,
    routes: sockets.routes(path: "/socket.io/", for: echo) + engine + [EchoServers.webSocket(environment)],
    metrics: Metrics(service: "echo"),
    options: HTTPServerOptions())
  server.start()
  return server.address
}
print("listening echo http://\(listening)")
while true { pause() }
