import Environment

/// The opening of a connection to a server: TLS and the login.
struct PostgresOpening {
  /// A connection after the login.
  struct Opened {
    let connection: any Connection
    let server: PostgresServer
    let parser: PostgresBackendParser
  }

  let environment: Environment
  let options: PostgresOptions
  let address: SocketAddress
  let deadline: Instant

  /// Connects and logs in. As in libpq, `sslmode=prefer` tries again without TLS, and `allow` with
  /// it.
  func open() async throws -> Opened {
    var encryptions = options.encryptions[...]
    while true {
      let encryption = encryptions.removeFirst()
      do { return try await open(encryption) } catch {
        let failure = PostgresFailure(error)
        guard !encryptions.isEmpty, Self.concernsEncryption(failure) else { throw error }
        let server = Log.Value.string("\(address)")
        environment.log.debug(
          "postgres-encryption-refused", ["server": server, "error": .string(failure.error.reason)])
      }
    }
  }

  /// Whether an attempt with TLS may succeed where one without it has failed, or the other way
  /// round.
  private static func concernsEncryption(_ failure: PostgresFailure) -> Bool {
    switch failure {
    case .insecure: true
    // No line of `pg_hba.conf` is for this connection.
    case .server(let fields): fields.code == .invalidAuthorization
    case .lost, .refused, .stopped: false
    }
  }

  private func open(_ encryption: PostgresStartup.Encryption) async throws -> Opened {
    var connection = try await environment.network.connect(to: address, deadline: deadline)
    do {
      let startup = options.startup(for: address, encryption)
      var handshake = PostgresHandshake(startup, nonce: environment.entropy.bytes(18))
      let server = try await logIn(&handshake, &connection)
      return Opened(connection: connection, server: server, parser: handshake.takeParser())
    } catch {
      connection.reset()
      throw error
    }
  }

  private func logIn(
    _ handshake: inout PostgresHandshake, _ connection: inout any Connection
  ) async throws -> PostgresServer {
    var actions = handshake.start()[...]
    while true {
      guard let action = actions.popFirst() else {
        let bytes = try await connection.read(atMost: 65_536, deadline: deadline)
        if bytes.isEmpty { throw NetworkError.closed }
        actions = try handshake.receive(bytes)[...]
        continue
      }
      switch action {
      case .send(let bytes): try await connection.write(bytes, deadline: deadline)
      case .startTLS:
        let (secure, encryption) = try await startTLS(over: connection)
        connection = secure
        actions += handshake.tlsStarted(encryption)
      case .derive(let work):
        let key = try await environment.executor.offload(.compute) { work.run() }
        actions += try handshake.derived(key)
      case .ready(let server): return server
      }
    }
  }

  private func startTLS(over connection: any Connection) async throws -> (any Connection, PostgresEncryption) {
    guard let tls = options.tls else { throw PostgresRefusal(reason: "this process has no TLS for PostgreSQL") }
    return try await tls.start(
      over: connection, to: address, options.url.encryption, in: environment, deadline: deadline)
  }

  /// Asks the server to stop what a connection runs, on a connection of its own. Its key is a
  /// secret, so it is encrypted if the connection is.
  func cancel(_ server: PostgresServer, encrypted: Bool) async throws {
    var connection = try await environment.network.connect(to: address, deadline: deadline)
    do {
      if encrypted {
        let startup = options.startup(for: address, .required)
        var handshake = PostgresHandshake(startup, nonce: [])
        for case .send(let bytes) in handshake.start() { try await connection.write(bytes, deadline: deadline) }
        let bytes = try await connection.read(atMost: 65_536, deadline: deadline)
        if bytes.isEmpty { throw NetworkError.closed }
        guard try handshake.receive(bytes) == [.startTLS] else { throw NetworkError.closed }
        connection = try await startTLS(over: connection).0
      }
      var request: [UInt8] = []
      PostgresFrontendMessage.cancel(process: server.process, key: server.key).write(to: &request)
      try await connection.write(request, deadline: deadline)
      connection.close()
    } catch {
      connection.reset()
      throw error
    }
  }
}
