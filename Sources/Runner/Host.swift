import Environment
import Glibc
import Real
import System

/// The services of this process. Each is a node with its own event loop.
final class Host {
  private let configuration: Configuration
  private let certificates: Certificates
  private let storage: RealStorage
  private let log: LogWriter
  private let level: Log.Level
  private let compute: OffloadPool
  /// The token that commands of operators show.
  private let operatorToken = Hex.encode(RealEntropy().bytes(32))
  private let say: (String) -> Void
  private var running: [(name: String, node: RealNode, service: any Service)] = []
  /// The addresses of the services that have started, for those that start before them.
  private let started = StartedServices()

  /// Makes a host. `say` gets a line for each listening socket.
  init(
    _ configuration: Configuration, _ certificates: Certificates, storage: RealStorage, log: LogWriter,
    say: @escaping (String) -> Void
  ) {
    self.say = say
    self.certificates = certificates
    self.configuration = configuration
    self.storage = storage
    self.log = log
    level = Log.Level.allCases.first { $0.name == configuration.text("log-level") }!
    compute = OffloadPool(threads: Processors.count)
  }

  /// Starts a service, and reports its addresses.
  func start(_ name: String) throws {
    let peers = try securePeers()
    let node = RealNode(
      configuration.list("node").first.map { "\(name)@\($0)" } ?? name, storage: storage, disk: OffloadPool(threads: 2),
      compute: compute, log: log, level: level,
      memory: configuration.memory
    ) { [certificates] environment in
      if peers.isEmpty, !certificates.isServer { return environment.network }
      return SecureNetwork(environment, certificates: certificates, peers: peers)
    }
    let service = try makeService(name, node)
    running.append((name, node, service))
    for (name, address) in service.addresses {
      started.add(name, Self.reachable(address))
      let scheme = (name == "amqp" ? "amqp" : "http") + (configuration.servesTLS ? "s" : "")
      say("listening \(name) \(scheme)://\(address)")
    }
    if let kind = OperatedService.Kind(rawValue: name) {
      let file = OperatorFile(
        Self.reachable(service.addresses[0].address), isSecure: configuration.servesTLS, token: operatorToken,
        certificates: TLSFiles(configuration).certificatePaths)
      try file.write(for: kind.rawValue, in: storage)
    }
  }

  private func makeService(_ name: String, _ node: RealNode) throws -> any Service {
    switch name {
    case "broker":
      var options = configuration.broker
      options.operatorToken = operatorToken
      guard let http = configuration.httpAddress("broker-http-port") else {
        return try node.run { [options] in try await Broker.start($0, options) }
      }
      return try node.run { [options, server = configuration.server] in
        try await BrokerEndpoint.start($0, options, http: http, server)
      }
    case "users":
      var options = try configuration.users()
      options.database.servers?.tls = PostgresTLS(certificates)
      options.server.operatorToken = operatorToken
      if options.secrets.contains(where: { $0.count < 32 }) {
        node.environment.log.warning(
          "short-jwt-secret", ["advice": "HS256 requires a key of 32 bytes or more (RFC 7518 §3.2)"])
      }
      return try node.run { [options] in try await UserService.start($0, options) }
    case "manager":
      var options = try configuration.manager()
      options.database.servers?.tls = PostgresTLS(certificates)
      options.broker = try broker()
      options.server.operatorToken = operatorToken
      let (users, chat) = (try configuredAddress("users-url"), try configuredAddress("chat-url"))
      options.services = PageServices(
        users: { [started] in users ?? started["users"] }, chat: { [started] in chat ?? started["chat"] })
      return try node.run { [options] in try await UserManager.start($0, options) }
    case "supervisor":
      var options = SupervisorHostOptions()
      options.name = "\(Self.machine)-\(getpid())"
      options.broker = try broker()
      guard let http = configuration.httpAddress("supervisor-http-port") else {
        return try node.run { [options] in try await SupervisorHost.start($0, options) }
      }
      return try node.run { [options, server = configuration.server] in
        try await SupervisorEndpoint.start($0, options, http: http, server)
      }
    case "chat":
      var options = try configuration.chat()
      options.database.servers?.tls = PostgresTLS(certificates)
      options.users = try address(of: "users", "users-url")
      options.server.operatorToken = operatorToken
      guard let broker = try brokerIfAny() else {
        node.environment.log.warning(
          "no-user-server", ["advice": "the namespace /users needs a broker: set --amqp"])
        return try node.run { [options] in try await ChatService.start($0, options) }
      }
      return try node.run { [options] in
        try await ChatService.start($0, options) { environment, delivery in
          await QueueUserServer.start(environment, broker: broker, delivery)
        }
      }
    case "customers":
      var options = try configuration.customers()
      options.database.servers?.tls = PostgresTLS(certificates)
      let mapping = try ServiceURLMapping(folder: configuration.text("data"))
      options.credentials = try mapping.credentialServer?.address ?? address(of: "users", "users-url")
      options.manager = try mapping.userManager?.address ?? addressIfKnown(of: "manager", "manager-url")
      options.server.operatorToken = operatorToken
      options.broker = try broker()
      return try node.run { [options] in try await CustomerServer.start($0, options) }
    default: throw UsageError("no service \"\(name)\"")
    }
  }

  /// The host name of this machine.
  static var machine: String {
    var name = [CChar](repeating: 0, count: 256)
    guard gethostname(&name, name.count - 1) == 0 else { return "host" }
    return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// The address of the broker, with credentials.
  private func broker() throws(UsageError) -> BrokerAddress {
    guard let broker = try brokerIfAny() else {
      throw UsageError("this process runs no broker: set --amqp to the URL of one")
    }
    return broker
  }

  private func brokerIfAny() throws(UsageError) -> BrokerAddress? {
    var broker = try knownBroker()
    let lifetime = configuration.duration("dead-letter-retention")
    broker?.deadLetterLifetime = lifetime > .zero ? lifetime : nil
    return broker
  }

  private func knownBroker() throws(UsageError) -> BrokerAddress? {
    if let url = configuration.list("amqp").first {
      return try BrokerURL.parse(url, serviceToken: configuration.list("service-token").first)
    }
    guard running.contains(where: { $0.name == "broker" }) else { return nil }
    let address = try address(of: "amqp", "amqp")
    guard let token = configuration.serviceToken else { return BrokerAddress(address: address) }
    return BrokerAddress(address: address, user: "parley", password: token)
  }

  /// The address of another service, in this process or from the configuration.
  private func address(of name: String, _ setting: String) throws(UsageError) -> SocketAddress {
    guard let address = try addressIfKnown(of: name, setting) else {
      throw UsageError("this process does not run \(name): set --\(setting) to its URL")
    }
    return address
  }

  private func addressIfKnown(of name: String, _ setting: String) throws(UsageError) -> SocketAddress? {
    try configuredAddress(setting) ?? started[name]
  }

  private func configuredAddress(_ setting: String) throws(UsageError) -> SocketAddress? {
    guard let url = configuration.list(setting).first else { return nil }
    return try ServiceURL(url, setting).address
  }

  /// The address by which services of this process reach a socket.
  private static func reachable(_ address: SocketAddress) -> SocketAddress {
    var address = address
    if address.host == "0.0.0.0" { address.host = "127.0.0.1" }
    if address.host == "::" { address.host = "::1" }
    return address
  }

  /// The servers that a service reaches by TLS: those of this process, and those with a URL that
  /// says so.
  private func securePeers() throws(UsageError) -> [SocketAddress: SecurePeer] {
    var peers: [SocketAddress: SecurePeer] = [:]
    if configuration.servesTLS {
      // The manager asks the Chat Service, which starts after it.
      let chat = SocketAddress(host: configuration.text("host"), port: UInt16(configuration.int("chat-port")))
      if chat.port != 0 { peers[Self.reachable(chat)] = SecurePeer(.http, .own) }
      for (name, address) in running.flatMap(\.service.addresses) {
        peers[Self.reachable(address)] = SecurePeer(name == "amqp" ? .amqp : .http, .own)
      }
    }
    for flag in ["users-url", "chat-url", "manager-url"] {
      for text in configuration.list(flag) {
        let url = try ServiceURL(text, flag)
        if url.isSecure { peers[url.address] = SecurePeer(.http, .named) }
      }
    }
    let mapping = try ServiceURLMapping(folder: configuration.text("data"))
    for url in [mapping.credentialServer, mapping.userManager] {
      if let url, url.isSecure { peers[url.address] = SecurePeer(.http, .named) }
    }
    for url in configuration.list("amqp") where BrokerURL.isSecure(url) {
      peers[try BrokerURL.parse(url, serviceToken: nil).address] = SecurePeer(.amqp, .named)
    }
    return peers
  }

  /// Waits until the event loop of each service has run a task.
  var check: @Sendable () -> Void {
    let nodes = running.map(\.node)
    return {
      // A task that does nothing throws nothing.
      for node in nodes { try? node.run { _ in } }
    }
  }

  /// Stops the services in reverse order of their start, so that none loses a service that it
  /// needs.
  func drain(_ signal: Int32) throws {
    for (_, node, service) in running.reversed() {
      node.environment.log.info("draining", ["signal": .int(Int64(signal))])
      try node.run { _ in await service.drain() }
    }
  }
}
