import Environment
import Glibc
import Real
import System

/// The effective settings of `serve`. A flag overrides its environment variable, which overrides
/// the configuration file, which overrides the default.
struct Configuration {
  private var values: [String: [String]] = [:]
  /// The token of the services of this process, if others prove by a certificate that they are
  /// services.
  private var ownToken: String?
  private let passwords: DatabasePasswords

  init(_ arguments: Arguments, environment: [(name: String, value: String)]) throws(UsageError) {
    passwords = DatabasePasswords(environment)
    var layers: [[String: [String]]] = [[:], [:], [:]]
    for setting in Setting.all {
      if let given = arguments.values[setting.flag] {
        for value in given { try setting.check(value, "--\(setting.flag)") }
        layers[0][setting.flag] = given
      }
    }
    layers[1] = try Self.variables(environment)
    let data = (layers[0]["data"] ?? layers[1]["data"])?.first ?? "./parley-data"
    let named = arguments.value("config") ?? environment.first { $0.name == "PARLEY_CONFIG" }?.value
    layers[2] = try Self.file(named, data: data)
    for layer in layers.indices { try SecretFiles.read(into: &layers[layer]) }
    layers.append(try SecretFiles.credentials(environment))
    for setting in Setting.all {
      values[setting.flag] = layers.lazy.compactMap { $0[setting.flag] }.first ?? setting.standard.map { [$0] } ?? []
    }
    values["host"] = values["host"]?.map(Setting.unbracketed)
    // The port of AMQP over TLS, as IANA has it.
    if servesTLS, !layers.contains(where: { $0["amqp-port"] != nil }) { values["amqp-port"] = ["5671"] }
    try checkTogether()
    if !list("tls-client-ca").isEmpty, list("service-token").isEmpty {
      ownToken = Hex.encode(RealEntropy().bytes(32))
    }
  }

  private static func variables(_ environment: [(name: String, value: String)]) throws(UsageError) -> [String: [String]]
  {
    var result: [String: [String]] = [:]
    for (name, value) in environment where name.hasPrefix("PARLEY_") && name != "PARLEY_CONFIG" {
      guard let setting = Setting.all.first(where: { $0.variable == name }) else {
        // Other programs may use variables with this prefix. A name that is nearly one of ours is a
        // typing error.
        guard let near = Spelling.nearest(to: name, among: Setting.all.map(\.variable)) else { continue }
        throw UsageError("unknown environment variable \(name); did you mean \(near)?")
      }
      let parts = setting.isRepeatable ? value.split(separator: ",").map(String.init) : [value]
      for part in parts { try setting.check(part, name) }
      result[setting.flag] = parts
    }
    return result
  }

  private static func file(_ named: String?, data: String) throws(UsageError) -> [String: [String]] {
    let path = named ?? data + "/parley.json5"
    guard let bytes = readFile(path) else {
      if named == nil, errno == ENOENT || errno == ENOTDIR { return [:] }
      throw UsageError("\(path): \(String(cString: strerror(errno)))")
    }
    let root: JSONValue
    let positions: [String: TextPosition]
    do throws(JSONError) {
      (root, positions) = try JSONParser.parseNotingPositions(bytes, as: .json5)
    } catch {
      throw UsageError("\(path):\(error.position): \(error.reason)")
    }
    guard let members = root.members else { throw UsageError("\(path): expected an object, found \(root.kind)") }
    var result: [String: [String]] = [:]
    for member in members {
      let place = "\(path):\(positions[member.name + "#"].map { "\($0)" } ?? "")"
      guard let setting = Setting.all.first(where: { $0.key == member.name }) else {
        let hint = Spelling.hint(member.name, among: Setting.all.map(\.key))
        throw UsageError("\(place): unknown key \"\(member.name)\"\(hint)")
      }
      guard let texts = texts(member.value, isList: setting.isRepeatable) else {
        throw UsageError("\(place): \(member.name) cannot be \(member.value.kind)")
      }
      for text in texts { try setting.check(text, "\(place): \(member.name)") }
      result[setting.flag] = texts
    }
    return result
  }

  private static func texts(_ value: JSONValue, isList: Bool) -> [String]? {
    switch value {
    case .string(let text): return [text]
    case .int(let number): return ["\(number)"]
    case .bool(let flag): return ["\(flag)"]
    case .array(let elements) where isList:
      let texts = elements.compactMap(\.string)
      return texts.count == elements.count ? texts : nil
    default: return nil
    }
  }

  private func checkTogether() throws(UsageError) {
    for url in list("amqp") { _ = try BrokerURL.parse(url, serviceToken: nil) }
    for flag in ["users-url", "chat-url", "manager-url"] {
      for url in list(flag) { _ = try ServiceURL(url, flag) }
    }
    try checkTLS()
    let isProtected = !list("service-token").isEmpty || !list("tls-client-ca").isEmpty
    if !SocketAddress(host: text("host"), port: 0).isLoopback, !isProtected {
      throw UsageError(
        "--host \(text("host")) can be reached from other machines: set a service token (PARLEY_SERVICE_TOKEN), which services then have to present"
      )
    }
  }

  private func checkTLS() throws(UsageError) {
    let counts = (list("tls-cert").count, list("tls-key").count)
    guard counts.0 == counts.1 else {
      throw UsageError("each --tls-cert needs its --tls-key: there are \(counts.0) and \(counts.1)")
    }
    if text("tls-self-signed") == "true", counts.0 > 0 {
      throw UsageError("--tls-self-signed and --tls-cert exclude each other")
    }
    if !list("tls-client-ca").isEmpty, !servesTLS {
      throw UsageError("--tls-client-ca needs TLS: set --tls-cert and --tls-key")
    }
  }

  /// Whether the sockets use TLS.
  var servesTLS: Bool { !list("tls-cert").isEmpty || text("tls-self-signed") == "true" }

  /// The token that services show each other, or nil.
  var serviceToken: String? { list("service-token").first ?? ownToken }

  /// The URL of the User Service's database; nil if that is a file.
  var usersDatabase: String? { database(of: "users") }

  /// The URL of the database of a service; nil if that is a file.
  func database(of service: String) -> String? {
    guard DatabaseURL.services.contains(service) else { return nil }
    return (list("\(service)-database") + list("database")).first
  }

  func text(_ flag: String) -> String { values[flag]![0] }
  func list(_ flag: String) -> [String] { values[flag]! }
  func int(_ flag: String) -> Int { Int(text(flag))! }
  func duration(_ flag: String) -> Duration { DurationText.parse(text(flag))! }

  /// The effective configuration as JSON with secrets blanked, as `--check` prints it.
  var json: JSONValue {
    .object(
      Setting.all.compactMap { setting in
        let values = list(setting.flag)
        if values.isEmpty { return nil }
        let shown =
          setting.isSecret
          ? values.map { _ in "***" }
          : setting.flag == "amqp"
            ? values.map(BrokerURL.redacted)
            : DatabaseURL.flags.contains(setting.flag) ? values.map(PostgresURL.redacted) : values
        if setting.isRepeatable { return .init(setting.key, .array(shown.map { .string($0) })) }
        switch setting.kind {
        case .flag: return .init(setting.key, .bool(shown[0] == "true"))
        case .port, .integer: return .init(setting.key, .int(Int64(shown[0])!))
        default: return .init(setting.key, .string(shown[0]))
        }
      })
  }

  /// The servers of the database of a service; nil if that is a file.
  func servers(of service: String) throws(UsageError) -> PostgresOptions? {
    guard let url = database(of: service) else { return nil }
    var servers = PostgresOptions(try DatabaseURL.parse(url, "--database"))
    servers.connections = int("database-connections")
    try passwords.add(to: &servers)
    return servers
  }

  /// The options of the User Service.
  /// - Throws: `UsageError` if the password of its database cannot be read.
  func users() throws(UsageError) -> UserServiceOptions {
    var options = UserServiceOptions()
    options.database.servers = try servers(of: "users")
    options.address = SocketAddress(host: text("host"), port: UInt16(int("users-port")))
    options.secrets = list("jwt-secret").map { Array($0.utf8) }
    options.accessTokenLifetime = duration("access-token-ttl")
    options.refreshTokenLifetime = duration("refresh-token-ttl")
    options.issuer = list("jwt-issuer").first
    options.audience = list("jwt-audience").first
    options.sessionLifetime = duration("session-ttl")
    options.maximumSessions = int("maximum-sessions")
    options.registrationLimit = int("registration-limit")
    options.passwordRounds = int("password-rounds")
    options.server = server
    return options
  }

  /// The options of the Chat Service. The host adds the address of the User Service.
  /// - Throws: `UsageError` if the password of its database cannot be read.
  func chat() throws(UsageError) -> ChatServiceOptions {
    var options = ChatServiceOptions()
    options.database.servers = try servers(of: "chat")
    options.isOneOfSeveral = !list("node").isEmpty
    options.address = SocketAddress(host: text("host"), port: UInt16(int("chat-port")))
    options.server = server
    options.retention = retention(age: "message-retention", number: "maximum-messages")
    options.sockets.pingInterval = duration("ping-interval")
    options.sockets.pingTimeout = duration("ping-timeout")
    options.sockets.maximumPayload = int("max-payload")
    options.server.limits.body = max(options.server.limits.body, options.sockets.maximumPayload)
    options.sockets.maximumSessions = int("max-connections")
    return options
  }

  /// The options of the broker.
  var broker: BrokerOptions {
    var options = BrokerOptions()
    options.address = SocketAddress(host: text("host"), port: UInt16(int("amqp-port")))
    options.serviceToken = serviceToken
    options.maximumConnections = int("max-connections")
    options.maximumMessage = int("max-message-bytes")
    return options
  }

  /// The options of the User Manager. The host adds the address of the broker.
  /// - Throws: `UsageError` if the password of its database cannot be read.
  func manager() throws(UsageError) -> UserManagerOptions {
    var options = UserManagerOptions()
    options.database.servers = try servers(of: "manager")
    options.address = SocketAddress(host: text("host"), port: UInt16(int("manager-port")))
    options.server = server
    options.retention = retention(age: "ended-session-retention", number: "maximum-ended-sessions")
    options.deadLetters = retention(age: "dead-letter-retention", number: "maximum-dead-letters")
    return options
  }

  /// The retention of two settings, of which 0 keeps all.
  private func retention(age: String, number: String) -> Retention {
    let (age, number) = (duration(age), int(number))
    return Retention(age: age > .zero ? age : nil, number: number > 0 ? number : nil)
  }

  /// The options of the Customer Server. The host adds the addresses of the other services.
  /// - Throws: `UsageError` if the password of its database cannot be read.
  func customers() throws(UsageError) -> CustomerServerOptions {
    var options = CustomerServerOptions()
    options.database.servers = try servers(of: "customers")
    options.address = SocketAddress(host: text("host"), port: UInt16(int("customers-port")))
    options.server = server
    return options
  }

  /// The memory budgets of a node. The strangers' budget has room for four of the largest bodies,
  /// because one address may use a quarter of it. The members' has room for four of the largest
  /// messages of the broker.
  var memory: ClientMemory {
    ClientMemory(
      strangers: max(32 << 20, 4 * (max(int("max-body-bytes"), int("max-payload")) + int("max-head-bytes"))),
      members: max(256 << 20, 4 * int("max-message-bytes")))
  }

  /// The address of a service whose HTTP server is optional; nil without its setting.
  func httpAddress(_ flag: String) -> SocketAddress? {
    list(flag).first.flatMap { UInt16($0) }.map { SocketAddress(host: text("host"), port: $0) }
  }

  /// The options of all HTTP servers.
  var server: HTTPServerOptions {
    var options = HTTPServerOptions()
    options.processMetrics = ProcessMetrics.read
    options.limits.head = int("max-head-bytes")
    options.limits.body = int("max-body-bytes")
    options.headTimeout = duration("head-timeout")
    options.idleTimeout = duration("idle-timeout")
    options.maximumConnections = int("max-connections")
    options.serviceToken = serviceToken
    options.trustedProxies = TrustedProxies(list("trusted-proxy").compactMap { IPNetwork($0) })
    let origins = list("cors-origin")
    options.cors = CORSPolicy(origins: origins.isEmpty || origins == ["*"] ? nil : origins)
    return options
  }
}

/// The contents of a file, or nil with `errno` set.
func readFile(_ path: String) -> [UInt8]? {
  guard let file = fopen(path, "r") else { return nil }
  defer { fclose(file) }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 65_536)
  while true {
    let count = fread(&buffer, 1, buffer.count, file)
    if count == 0 { return ferror(file) == 0 ? bytes : nil }
    bytes += buffer[..<count]
  }
}
