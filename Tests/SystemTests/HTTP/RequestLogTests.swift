@testable import Environment
@testable import Simulation
import Testing

@testable import Sim
@testable import System

/// Secrets never appear in a log line.
@Suite("The request log")
struct RequestLogTests {
  @Test(
    "secrets in queries are replaced",
    arguments: [
      ("", ""), ("a=1&b=2", "a=1&b=2"),
      ("a=1&PASSWORD=x&sessionID=y&p%61ssword=z", "a=1&PASSWORD=***&sessionID=***&p%61ssword=***"),
      ("EIO=4&transport=polling&sid=0f0f&t=1", "EIO=4&transport=polling&sid=***&t=1"),
      ("sid=a;sid=b", "sid=***;sid=***"),
      ("access_token=x&refresh-token=y&SESSION_TOKEN=z", "access_token=***&refresh-token=***&SESSION_TOKEN=***"),
      ("token[]=x&user[password]=y", "token[]=***&user[password]=***"), ("sid&sid=", "sid&sid="),
      ("new_password=a=b=c", "new_password=***"), ("%zz=secret", "***"), ("a=%zz", "***"), ("sid%3Dsecret", "***"),
      ("next=%2Fsocket.io%3Fsid%3Dsecret", "next=***"), ("next=/x?token=secret", "next=***"),
      ("username=sid&side=left", "username=sid&side=left"),
    ])
  func queries(query: String, blanked: String) { #expect(RequestLog.blanked(query: query) == blanked) }

  @Test("a long target is cut off")
  func longTargets() {
    let short = String(repeating: "&", count: Log.Value.maximumBytes)
    #expect(RequestLog.blanked(query: short + "&sid=hush") == short + "…")
    #expect(RequestLog.blanked(query: "sid=" + String(repeating: "x", count: 30_000)) == "sid=***…")
    #expect(RequestLog.blanked(path: "/sid/" + String(repeating: "x", count: 30_000)) == "/sid/***…")
  }

  @Test(
    "secrets in unknown paths are replaced",
    arguments: [
      ("/", "/"), ("/a/b", "/a/b"), ("/token/hush/x", "/token/***/x"),
      ("/get-sessions;sid=hush", "/get-sessions;sid=***"),
      ("/x/token=hush/y", "/x/token=***/y"), ("/sessionID/hush", "/sessionID/***"),
      ("/t%6Fken/hush", "/t%6Fken/***"),
      ("/x%3Fsid%3Dhush", "/***"),
    ])
  func paths(path: String, blanked: String) { #expect(RequestLog.blanked(path: path) == blanked) }

  /// The names of all parameters, body fields and arguments of all services.
  private static func names() throws -> [String] {
    let routes = try World(seed: 1).perform(as: "node") { environment in
      func address(_ port: UInt16) -> SocketAddress { SocketAddress(host: "node", port: port) }
      var users = UserServiceOptions()
      users.address = address(1)
      var customers = CustomerServerOptions()
      customers.address = address(2)
      var manager = UserManagerOptions()
      manager.address = address(3)
      var chat = ChatServiceOptions()
      chat.address = address(4)
      return [
        try await UserService.start(environment, users).server.routes,
        try await CustomerServer.start(environment, customers).server.routes,
        try await UserManager.start(environment, manager).server.routes,
        try await ChatService.start(environment, chat).server.routes,
      ].flatMap { $0 }
    }
    return routes.flatMap { route in
      var fields = route.arguments ?? []
      if case .object(let more)? = route.body { fields += more }
      return route.parameters.map(\.name) + fields.map(\.name)
    }
  }

  @Test("the secret parameters of all routes are recognized, and only those")
  func routeTables() throws {
    let names = Set(try Self.names())
    let secrets: Set = [
      "password", "PASSWORD", "session_id", "sessionID", "SESSION_TOKEN", "token", "refresh_token", "sid",
    ]
    #expect(names.intersection(secrets).count >= 6, "\(names.sorted())")
    for name in names.union(secrets).sorted() {
      #expect(RequestLog.isSecret(name) == secrets.contains(name), "\(name)")
    }
  }

  @Test("no log line contains a secret of a query, path or body, and no line is long")
  func lines() throws {
    let world = World(seed: 3)
    let lines = Lines()
    world.addNode("users") { real in
      let environment = Environment(
        node: real.node, clock: real.clock, network: real.network, storage: real.storage, entropy: real.entropy,
        executor: real.executor, log: Log(node: real.node, threshold: .debug) { lines.add($0) })
      var options = UserServiceOptions()
      options.address = SocketAddress(host: "users", port: 8001)
      options.passwordRounds = 2
      return try await UserService.start(environment, options)
    }.start()
    world.run(until: .seconds(1))
    let secrets = try Self.names().filter(RequestLog.isSecret)
    let targets = ["/login", "/register", "/get-sessions", "/nowhere", "/refresh"].flatMap { path in
      secrets.flatMap { name in
        ["\(path)?a=1&\(name)=hush", "\(path)/\(name)/hush", "\(path);\(name)=hush"]
      }
    }
    try world.perform(as: "ann") { environment in
      let client = HTTPClient(environment, address: SocketAddress(host: "users", port: 8001))
      for target in targets {
        for method in ["GET", "POST"] {
          _ = try await client.send(method, target, json: ["password": "hush", "user": "a"], timeout: .seconds(5))
        }
      }
      _ = try await client.send("GET", "/" + String(repeating: "x", count: 30_000), timeout: .seconds(5))
    }
    #expect(lines.all.count > 2 * targets.count)
    for line in lines.all {
      #expect(!line.contains("hush"), "\(line)")
      #expect(line.utf8.count < 5000)
    }
  }

  private final class Lines: @unchecked Sendable {
    private(set) var all: [String] = []
    func add(_ record: Log.Record) {
      all.append(record.event + record.fields.map { " \($0.key)=\($0.value.text)" }.joined())
    }
  }
}
