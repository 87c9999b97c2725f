import Environment
import Glibc
import Real
import System

/// A service of a data directory, as the command of an operator uses it: the one that runs there,
/// one that the command starts for itself, or the files of one that does not run.
final class OperatedService {
  /// The services that take commands.
  enum Kind: String, CaseIterable {
    case users, broker, customers, manager, chat

    /// The service that has a database.
    init(of database: ServiceDatabase) { self = Self.allCases.first { $0.database.path == database.path }! }

    var database: ServiceDatabase {
      switch self {
      case .users: UserService.database
      case .broker: Broker.database
      case .customers: CustomerServer.database
      case .manager: UserManager.database
      case .chat: ChatService.database
      }
    }

    var title: String {
      switch self {
      case .users: "User Service"
      case .broker: "broker"
      case .customers: "Customer Server"
      case .manager: "User Manager"
      case .chat: "Chat Service"
      }
    }

    /// Whether a command can start the service. The files of others are changed without them.
    var isStarted: Bool { self == .users || self == .broker }
  }

  private let node: RealNode
  private let address: SocketAddress
  /// The credentials: the token is the password.
  private let (user, token): (String, String)
  /// The service that the command has started.
  private let own: (any Service)?
  /// Whether nobody uses the files.
  private let isOnFiles: Bool

  /// Finds or starts the service.
  /// - Throws: `UsageError`; `UpkeepFailure` if there is no service; the error of starting it.
  init(_ kind: Kind, data: String) throws {
    let configuration = try Configuration(ofOperatorOf: data)
    if kind == .broker, let url = configuration.list("amqp").first {
      let broker = try BrokerURL.parse(url, serviceToken: configuration.list("service-token").first)
      (address, user, token, own) = (broker.address, broker.user, broker.password, nil)
      isOnFiles = false
      node = try Self.visitor(
        .amqp, BrokerURL.isSecure(url) ? .named : nil, at: broker.address, configuration)
      return
    }
    let storage = try Folder.open(data)
    let hasFile = try storage.exists(kind.database.path)
    // Nodes share a database on a server, so the command is one of them. A file has one user.
    let isOnServer = configuration.database(of: kind.rawValue) != nil
    if try isOnServer ? kind == .users : hasFile && !Self.isInUse(kind.database, storage) {
      // The owner may have no access to the folders above the directory, which is open by now.
      try Self.becomeOwner(of: data)
      token = Hex.encode(RealEntropy().bytes(32))
      user = "parley"
      node = RealNode(
        "operator", storage: storage, disk: OffloadPool(threads: 1), compute: OffloadPool(threads: 1),
        log: LogWriter(.text), level: .warning)
      isOnFiles = !kind.isStarted
      guard kind.isStarted else {
        (own, address) = (nil, SocketAddress(host: "", port: 0))
        return
      }
      let service = try Self.start(kind, configuration, token: token, on: node)
      (own, address) = (service, service.addresses[0].address)
      return
    }
    // A process that was killed leaves its file.
    guard let file = try OperatorFile(of: kind.rawValue, in: data),
      try !isOnServer || Self.isListening(at: file.address)
    else {
      throw UpkeepFailure([
        isOnServer
          ? "no \(kind.title) runs on \(data), and its tables are in PostgreSQL: run this where it runs"
          : hasFile
            ? "\(kind.database.path) is in use by a process that takes no commands"
            : "\(data) has no \(kind.database.path), and no \(kind.title) runs there"
      ])
    }
    (address, user, token, own) = (file.address, "operator", file.token, nil)
    isOnFiles = false
    let shown = file.isSecure ? SecurePeer.Identity.showing(try TLSFiles.leaves(in: file.certificates)) : nil
    node = try Self.visitor(kind == .broker ? .amqp : .http, shown, at: file.address, configuration)
  }

  /// Whether a data directory has a service of this kind.
  static func exists(_ kind: Kind, data: String) throws -> Bool {
    let configuration = try Configuration(ofOperatorOf: data)
    if kind == .broker, !configuration.list("amqp").isEmpty { return true }
    if configuration.database(of: kind.rawValue) != nil {
      if kind == .users { return true }
      // The Chat Service hears of a deletion when it starts. Others would keep what they have.
      if kind != .chat { return try hasTables(kind, configuration) }
      guard let file = try OperatorFile(of: kind.rawValue, in: data) else { return false }
      return try isListening(at: file.address)
    }
    return try Folder.open(data).exists(kind.database.path)
  }

  /// Whether a service has made its tables in PostgreSQL.
  private static func hasTables(_ kind: Kind, _ configuration: Configuration) throws -> Bool {
    guard let servers = try configuration.servers(withTablesOf: kind) else { return false }
    return try RealNode.visitor("operator", level: .warning).run { try await kind.database.isMade($0, on: servers) }
  }

  /// Whether a process listens at an address, as far as one can tell.
  private static func isListening(at address: SocketAddress) throws -> Bool {
    try RealNode.visitor("operator", level: .warning).run { environment in
      do {
        let connection = try await environment.network.connect(
          to: address, deadline: environment.clock.now + .seconds(5))
        connection.close()
        return true
      } catch NetworkError.refused {
        return false
      } catch {
        return true
      }
    }
  }

  /// Starts a service that serves this command alone.
  private static func start(
    _ kind: Kind, _ configuration: Configuration, token: String, on node: RealNode
  ) throws -> any Service {
    let address = SocketAddress(host: "127.0.0.1", port: 0)
    if kind == .broker {
      var options = configuration.broker
      (options.address, options.serviceToken) = (address, token)
      return try node.run { [options] in try await Broker.start($0, options) }
    }
    var options = try configuration.users()
    options.address = address
    options.secrets = [RealEntropy().bytes(32)]
    options.database.servers?.tls = PostgresTLS(try configuration.authorities())
    options.server = HTTPServerOptions()
    options.server.serviceToken = token
    return try node.run { [options] in try await UserService.start($0, options) }
  }

  /// A client of a server, by TLS if `identity` says how the server proves who it is.
  private static func visitor(
    _ application: ApplicationProtocol, _ identity: SecurePeer.Identity?, at address: SocketAddress,
    _ configuration: Configuration
  ) throws -> RealNode {
    guard let identity else { return try RealNode.visitor("operator", level: .warning) }
    let certificates = try configuration.authorities()
    return try RealNode.visitor("operator", level: .warning) {
      SecureNetwork($0, certificates: certificates, peers: [address: SecurePeer(application, identity)])
    }
  }

  /// Whether a process uses the database.
  private static func isInUse(_ database: ServiceDatabase, _ storage: RealStorage) throws(StorageError) -> Bool {
    let file = try storage.open(database.path, create: false)
    defer { file.close() }
    do throws(StorageError) {
      try file.lock()
      return false
    } catch .locked { return true }
  }

  /// Takes the rights of the owner of the directory, if this user is root. Files of root would lock
  /// the services out.
  private static func becomeOwner(of data: String) throws(UsageError) {
    var status = stat()
    guard geteuid() == 0, stat(data, &status) == 0, status.st_uid != 0 else { return }
    guard setegid(status.st_gid) == 0, seteuid(status.st_uid) == 0 else {
      throw UsageError("cannot become the owner of \(data): \(String(cString: strerror(errno)))")
    }
  }

  /// Sends a request of an operator over HTTP.
  /// - Throws: `NetworkError`, `HTTPError`.
  func send(_ path: String, _ body: JSONValue) throws -> (status: Int, body: JSONValue) {
    let (address, token) = (address, token)
    return try node.run { environment in
      let client = HTTPClient(environment, address: address)
      defer { client.close() }
      let response = try await client.send(
        "POST", path, fields: [("authorization", "Bearer \(token)")], json: body, timeout: .seconds(60))
      return (response.status, (try? JSONParser.parse(response.body)) ?? .null)
    }
  }

  /// Carries out a request of an erasure, on the files if the service does not run.
  func erase(_ request: AccountErasure.Request) throws -> (status: Int, body: JSONValue) {
    guard isOnFiles else { return try send(request.path, request.body) }
    return (200, try node.run { try await ErasureOnFiles.perform(request, $0) })
  }

  /// Changes queues over AMQP.
  func change<R: Sendable>(_ body: @escaping @Sendable (QueueOperator) async throws -> R) throws -> R {
    let broker = BrokerAddress(address: address, user: user, password: token)
    return try node.run { try await QueueOperator.connected($0, broker: broker, body) }
  }

  /// Stops the service that the command has started.
  func close() throws {
    guard let own else { return }
    try node.run { _ in await own.drain() }
  }
}

extension Configuration {
  /// The configuration of the services of a data directory, for a command beside them.
  init(ofOperatorOf data: String) throws(UsageError) {
    let arguments = try Arguments(["--data", data], flags: ServeCommand.allFlags)
    self = try Configuration(arguments, environment: environmentVariables())
  }

  /// The servers of the database of a service, and what they are checked with; nil if that is a
  /// file.
  func servers(withTablesOf kind: OperatedService.Kind) throws -> PostgresOptions? {
    guard var servers = try servers(of: kind.rawValue) else { return nil }
    servers.tls = PostgresTLS(try authorities())
    return servers
  }

  /// The authorities that servers are checked with.
  func authorities() throws -> Certificates {
    try TLSFiles(authorities: list("ca").first).makeCertificates()
  }
}
