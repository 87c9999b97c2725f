import Environment

/// What a client says at the start of a connection.
public struct PostgresStartup: Hashable, Sendable {
  /// Whether the connection is encrypted first.
  public enum Encryption: Hashable, Sendable {
    /// Does not ask for TLS.
    case never
    /// Goes on without TLS if the server has none.
    case ifOffered
    /// Ends the connection if the server has no TLS.
    case required
  }

  /// The role to log in as.
  public var user: String
  /// Its password; nil if there is none.
  public var password: String?
  /// The database.
  public var database: String
  /// Settings, such as `application_name`.
  public var parameters: [PostgresParameter] = []
  /// Whether the connection is encrypted first.
  public var encryption = Encryption.never
  /// Whether the bytes cannot leave this machine: a loopback or Unix-local address.
  public var isLocal: Bool

  /// Creates a start-up.
  public init(user: String, password: String?, database: String, isLocal: Bool) {
    self.user = user
    self.password = password
    self.database = database
    self.isLocal = isLocal
  }
}

/// The encryption of a connection.
public struct PostgresEncryption: Hashable, Sendable {
  /// The channel binding `tls-server-end-point`; nil if none is defined for the server's
  /// certificate (RFC 5929 §4.1).
  public var endPoint: [UInt8]?
  /// Whether the server has proved who it is by its certificate.
  public var isVerified: Bool

  /// Describes the encryption of a connection.
  public init(endPoint: [UInt8]?, isVerified: Bool) {
    self.endPoint = endPoint
    self.isVerified = isVerified
  }
}

/// A reason for which the client ends a handshake that the server would go on with.
public struct PostgresRefusal: Error, Hashable, Sendable {
  /// The reason, for an operator to read.
  public let reason: String
}

/// The client's side of opening a connection: TLS, authentication, settings (PostgreSQL 15
/// documentation, §55.2.1). Bytes in, actions out.
///
/// ```swift
/// var handshake = PostgresHandshake(startup, nonce: entropy.bytes(18))
/// var actions = handshake.start()
/// ```
public struct PostgresHandshake: Sendable {
  /// What the caller has to do next.
  public enum Action: Hashable, Sendable {
    case send([UInt8])
    /// Encrypt the connection, then call `tlsStarted`.
    case startTLS
    /// Run the work in the compute lane, then call `derived` with its result.
    case derive(SCRAMDerivation)
    /// The connection is open. `takeParser` has the bytes that came after the handshake.
    case ready(PostgresServer)
  }

  private enum State {
    case new
    /// Waits for the byte that answers an SSLRequest.
    case tlsRequested
    /// Waits for TLS of the caller.
    case tlsStarting
    /// Waits for the first demand for authentication.
    case started
    case passwordSent
    case scramStarted(SCRAMClient)
    /// Waits for the salted password.
    case deriving(SCRAMClient)
    case scramProved(SCRAMClient)
    /// The server has proved that it knows the password.
    case serverProved
    /// Waits for the first ReadyForQuery.
    case authenticated
    case finished
  }

  /// The most settings that a server may report. PostgreSQL 15 reports 14.
  private static let maximumParameters = 200

  private let startup: PostgresStartup
  private let nonce: [UInt8]
  private var parser = PostgresBackendParser()
  private var state = State.new
  /// The encryption of the connection; nil if there is none.
  private var encryption: PostgresEncryption?
  private var server = PostgresServer()

  /// `nonce` is random, 18 bytes or more.
  public init(_ startup: PostgresStartup, nonce: [UInt8]) {
    self.startup = startup
    self.nonce = nonce
  }

  /// Begins. Call it once, before all others.
  public mutating func start() -> [Action] {
    guard startup.encryption != .never else { return begin() }
    state = .tlsRequested
    var output: [UInt8] = []
    PostgresFrontendMessage.sslRequest.write(to: &output)
    return [.send(output)]
  }

  private mutating func begin() -> [Action] {
    state = .started
    let parameters =
      [PostgresParameter("user", startup.user), PostgresParameter("database", startup.database)] + startup.parameters
    var output: [UInt8] = []
    PostgresFrontendMessage.startup(minor: 0, parameters).write(to: &output)
    return [.send(output)]
  }

  /// The connection is encrypted now.
  public mutating func tlsStarted(_ encryption: PostgresEncryption) -> [Action] {
    guard case .tlsStarting = state else { return [] }
    self.encryption = encryption
    return begin()
  }

  /// Takes bytes of the server.
  /// - Throws: `PostgresFields` if the server refuses, `PostgresRefusal` if this client does,
  ///   `PostgresProtocolError`.
  public mutating func receive(_ bytes: [UInt8]) throws -> [Action] {
    parser.receive(bytes)
    if case .tlsRequested = state { return try answerToTLS() }
    return try read()
  }

  private mutating func answerToTLS() throws -> [Action] {
    switch parser.byte() {
    case nil: return []
    case UInt8(ascii: "S")?:
      // Whoever is on the path could have put bytes here that would be read as the encrypted
      // answer of the server (CVE-2021-23222).
      guard parser.bytesUnderWay == 0 else {
        throw PostgresProtocolError("the server sent bytes before TLS was started")
      }
      state = .tlsStarting
      return [.startTLS]
    case UInt8(ascii: "N")?:
      guard startup.encryption != .required else {
        throw PostgresRefusal(reason: "the server does not support TLS, and sslmode requires it")
      }
      guard parser.bytesUnderWay == 0 else {
        throw PostgresProtocolError("the server sent bytes before the client's start")
      }
      return begin()
    // Servers before 7.0 answer with an error; its text is not authenticated, so nobody sees it.
    default: throw PostgresProtocolError("an unknown answer to the request for TLS")
    }
  }

  /// Takes the result of a derivation.
  /// - Throws: the errors of `receive`.
  public mutating func derived(_ saltedPassword: [UInt8]) throws -> [Action] {
    guard case .deriving(var client) = state else { return [] }
    let message = client.finish(saltedPassword: saltedPassword)
    state = .scramProved(client)
    return [.send(Self.bytes(message))] + (try read())
  }

  /// Reads messages until one has to wait for the caller.
  private mutating func read() throws -> [Action] {
    var actions: [Action] = []
    while !isWaiting, let message = try parser.next() { actions += try take(message) }
    return actions
  }

  private var isWaiting: Bool {
    switch state {
    case .deriving, .finished, .tlsStarting: true
    case .new, .tlsRequested, .started, .passwordSent, .scramStarted, .scramProved, .serverProved, .authenticated:
      false
    }
  }

  private mutating func take(_ message: PostgresBackendMessage) throws -> [Action] {
    switch (message, state) {
    case (.error(let fields), _): throw fields
    case (.notice, _): return []
    case (.authentication(let demand), _): return try take(demand)
    case (.parameterStatus(let parameter), .authenticated):
      guard server.parameters.count < Self.maximumParameters else {
        throw PostgresProtocolError("too many settings of the server")
      }
      server.note(parameter)
      return []
    case (.backendKey(let process, let key), .authenticated):
      (server.process, server.key) = (process, key)
      return []
    case (.readyForQuery(.idle), .authenticated):
      state = .finished
      return [.ready(server)]
    case (.negotiateProtocolVersion, .started):
      throw PostgresProtocolError("the server does not speak protocol 3.0")
    default: throw PostgresProtocolError("an unexpected message during the handshake")
    }
  }

  private mutating func take(_ demand: PostgresBackendMessage.Authentication) throws -> [Action] {
    switch (demand, state) {
    case (.ok, .started), (.ok, .passwordSent), (.ok, .serverProved):
      state = .authenticated
      return []
    case (.cleartextPassword, .started):
      let password = try secret("a cleartext password")
      state = .passwordSent
      return [.send(Self.bytes(PostgresSASL.passwordMessage(Array(password.utf8))))]
    case (.md5Password(let salt), .started):
      let hash = PostgresSASL.md5(password: try secret("an MD5 password"), user: startup.user, salt: salt)
      state = .passwordSent
      return [.send(Self.bytes(PostgresSASL.passwordMessage(hash)))]
    case (.sasl(let mechanisms), .started):
      let channel = try channel(offered: mechanisms)
      guard mechanisms.contains(channel.mechanism) else {
        throw PostgresRefusal(reason: "the server offers none of the known mechanisms: \(mechanisms)")
      }
      let client = SCRAMClient(password: try password(), nonce: nonce, channel)
      state = .scramStarted(client)
      return [.send(Self.bytes(PostgresSASL.initialResponse(channel.mechanism, client.first)))]
    case (.saslContinue(let data), .scramStarted(var client)):
      let work = try client.receive(first: data)
      state = .deriving(client)
      return [.derive(work)]
    case (.saslFinal(let data), .scramProved(var client)):
      try client.receive(final: data)
      state = .serverProved
      return []
    case (.ok, .scramStarted), (.ok, .scramProved):
      throw PostgresProtocolError("the server does not prove that it knows the password")
    case (.other(let method, _), .started):
      throw PostgresRefusal(
        reason: "the server asks for the authentication method \(method), which is not supported; use scram-sha-256")
    default: throw PostgresProtocolError("an unexpected demand for authentication")
    }
  }

  /// What the client says of the channel. The list of mechanisms is not authenticated: whoever is
  /// on the path could have shortened it, which the server then notices.
  private func channel(offered mechanisms: [String]) throws(PostgresRefusal) -> SCRAM.Channel {
    guard let endPoint = encryption?.endPoint else {
      // A server offers this over TLS only, so somebody has ended TLS on the way.
      guard encryption != nil || !mechanisms.contains(SCRAM.Channel.serverEndPoint([]).mechanism) else {
        throw PostgresRefusal(
          reason: "the server speaks TLS, and this connection is not encrypted: something on the path has removed it")
      }
      return .unsupported
    }
    let bound = SCRAM.Channel.serverEndPoint(endPoint)
    return mechanisms.contains(bound.mechanism) ? bound : .notOffered
  }

  private func password() throws(PostgresRefusal) -> String {
    guard let password = startup.password else {
      throw PostgresRefusal(reason: "the server asks for a password, and none is given")
    }
    return password
  }

  /// The password, if it may be sent in a form that others on the path could use.
  private func secret(_ form: String) throws(PostgresRefusal) -> String {
    if startup.isLocal || encryption?.isVerified == true { return try password() }
    throw PostgresRefusal(
      reason: encryption == nil
        ? "the server asks for \(form) over an unencrypted connection; use scram-sha-256 or sslmode=verify-full"
        : "the server asks for \(form) and has not proved its name; use scram-sha-256 or sslmode=verify-full")
  }

  /// Hands the parser over, with the bytes that came after the handshake.
  public mutating func takeParser() -> PostgresBackendParser {
    var taken = parser
    taken.loggedIn()
    parser = PostgresBackendParser()
    return taken
  }

  private static func bytes(_ data: [UInt8]) -> [UInt8] {
    var output: [UInt8] = []
    PostgresFrontendMessage.authentication(data).write(to: &output)
    return output
  }
}

/// What a server tells of itself.
public struct PostgresServer: Hashable, Sendable {
  /// The number of the process that serves the connection, for a CancelRequest.
  public internal(set) var process: Int32 = 0
  /// The secret that a CancelRequest has to show.
  public internal(set) var key: [UInt8] = []
  /// The settings that it reports.
  public internal(set) var parameters: [PostgresParameter] = []

  /// The value of a setting.
  public subscript(name: String) -> String? { parameters.first { $0.name == name }?.value }

  mutating func note(_ parameter: PostgresParameter) {
    parameters.removeAll { $0.name == parameter.name }
    parameters.append(parameter)
  }

  /// The major version: 15 of `15.18 (Debian 15.18-0+deb12u1)`; nil if it is not a number.
  public var majorVersion: Int? {
    self["server_version"].flatMap { Int(String(decoding: $0.utf8.prefix { $0.isDigit }, as: UTF8.self)) }
  }
}
