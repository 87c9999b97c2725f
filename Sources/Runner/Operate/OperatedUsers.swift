import Environment
import Glibc
import Real
import System

/// The User Service of a data directory, as the command of an operator uses it: the one that runs there,
/// or one that the command starts for itself.
final class OperatedUsers {
  private let node: RealNode
  private let address: SocketAddress
  private let token: String
  /// The service that the command has started.
  private let own: (any Service)?

  /// Finds or starts the service.
  /// - Throws: `UsageError`; `UpkeepFailure` if the service cannot start.
  init(data: String) throws {
    try Self.becomeOwner(of: data)
    let arguments = try Arguments(["--data", data], flags: ServeCommand.allFlags)
    let configuration = try Configuration(arguments, environment: environmentVariables())
    let storage = try Folder.open(data)
    let hasFile = try storage.exists(UserService.database.path)
    // Nodes share a database on a server, so the command is one of them. A file has one user.
    let canStart = configuration.usersDatabase != nil ? true : try hasFile && !Self.isInUse(storage)
    if canStart {
      token = Hex.encode(RealEntropy().bytes(32))
      node = RealNode(
        "operator", storage: storage, disk: OffloadPool(threads: 1), compute: OffloadPool(threads: 1),
        log: LogWriter(.text), level: .warning)
      let options = try Self.options(configuration, token: token)
      let service = try node.run { try await UserService.start($0, options) }
      own = service
      address = service.address
      return
    }
    guard let file = try OperatorFile(of: "users", in: data) else {
      throw UpkeepFailure([
        hasFile
          ? "\(UserService.database.path) is in use by a process that takes no commands"
          : "\(data) has no \(UserService.database.path), and no User Service runs there"
      ])
    }
    token = file.token
    address = try ServiceURL(file.url, "url").address
    node = try RealNode.visitor("operator", level: .warning, network: try Self.network(to: file))
    own = nil
  }

  /// The options of a service that serves this command alone.
  private static func options(_ configuration: Configuration, token: String) throws(UsageError) -> UserServiceOptions {
    var options = try configuration.users()
    options.address = SocketAddress(host: "127.0.0.1", port: 0)
    options.secrets = [RealEntropy().bytes(32)]
    let certificates = try TLSFiles(authorities: configuration.list("ca").first).makeCertificates()
    options.database.servers?.tls = PostgresTLS(certificates)
    options.server = HTTPServerOptions()
    options.server.serviceToken = token
    return options
  }

  /// Whether a process uses the database.
  private static func isInUse(_ storage: RealStorage) throws(StorageError) -> Bool {
    let file = try storage.open(UserService.database.path, create: false)
    defer { file.close() }
    do throws(StorageError) {
      try file.lock()
      return false
    } catch .locked { return true }
  }

  /// Takes the rights of the owner of the directory, if this user is root. Files of root would lock the
  /// services out.
  private static func becomeOwner(of data: String) throws(UsageError) {
    var status = stat()
    guard geteuid() == 0, stat(data, &status) == 0, status.st_uid != 0 else { return }
    guard setegid(status.st_gid) == 0, seteuid(status.st_uid) == 0 else {
      throw UsageError("cannot become the owner of \(data): \(String(cString: strerror(errno)))")
    }
  }

  /// The network of a client of the service, with TLS if the service uses it.
  private static func network(to file: OperatorFile) throws(UsageError) -> (Environment) -> any Network {
    let url = try ServiceURL(file.url, "url")
    guard url.isSecure else { return { $0.network } }
    let shown = try TLSFiles.leaves(in: file.certificates)
    let certificates = try TLSFiles(authorities: nil).makeCertificates()
    return {
      SecureNetwork(
        $0, certificates: certificates, peers: [url.address: SecurePeer(.http, .showing(shown))])
    }
  }

  /// Sends a request of an operator.
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

  /// Stops the service that the command has started.
  func close() throws {
    guard let own else { return }
    try node.run { _ in await own.drain() }
  }
}
