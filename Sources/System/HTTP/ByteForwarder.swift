import Environment

/// Passes the bytes of connections on to a server of the same kind, and its answers back.
///
/// The requests are not read, so the server sees what the client has sent, and decides about it.
/// Without a server clients are told to come back.
actor ByteForwarder {
  /// The most connections. Further ones are told to come back.
  private static let maximumConnections = 1_000
  /// The most bytes that are read at once.
  private static let chunk = 65_536
  /// Time to reach the server.
  private static let patience: Duration = .seconds(2)
  /// Time in which neither side says anything.
  private static let idleTimeout: Duration = .seconds(120)

  private let environment: Environment
  private let listener: any Listener
  /// The answer to a client while there is no server.
  private let refusal: [UInt8]
  private let target: @Sendable () async -> SocketAddress?
  private let serialExecutor: ActorExecutor
  private var open: [Int: any Connection] = [:]
  private var nextNumber = 0
  private var isClosed = false

  nonisolated let address: SocketAddress
  nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  /// Makes a forwarder of the connections of `listener` to what `target` returns for each.
  init(
    _ environment: Environment, _ listener: any Listener, refusal: [UInt8],
    to target: @escaping @Sendable () async -> SocketAddress?
  ) {
    self.refusal = refusal
    self.environment = environment
    self.listener = listener
    self.target = target
    address = listener.address
    serialExecutor = environment.executor.forActor("byte-forwarder")
  }

  nonisolated func start() { environment.executor.spawn("forward") { await self.acceptAll() } }

  /// Stops listening, and ends all connections.
  func close() {
    isClosed = true
    listener.close()
    for number in open.keys.sorted() { open[number]?.reset() }
  }

  private func acceptAll() async {
    while !isClosed {
      do {
        let connection = try await listener.accept()
        environment.executor.spawn("forwarded") { await self.serve(connection) }
      } catch NetworkError.exhausted {
        do { try await environment.clock.sleep(for: .milliseconds(100)) } catch { return }
      } catch {
        return
      }
    }
  }

  private func serve(_ client: any Connection) async {
    guard open.count < 2 * Self.maximumConnections, let server = await connect() else {
      return await turnAway(client)
    }
    let numbers = (keep(client), keep(server))
    let back = environment.executor.spawn("forward-back") { await self.pass(from: server, to: client) }
    await pass(from: client, to: server)
    _ = await back.value
    client.close()
    server.close()
    open[numbers.0] = nil
    open[numbers.1] = nil
  }

  private func keep(_ connection: any Connection) -> Int {
    nextNumber += 1
    open[nextNumber] = connection
    if isClosed { connection.reset() }
    return nextNumber
  }

  private func connect() async -> (any Connection)? {
    guard !isClosed, let address = await target() else { return nil }
    return try? await environment.network.connect(to: address, deadline: environment.clock.now + Self.patience)
  }

  /// Passes bytes on in one direction, and ends it as the sender does.
  private func pass(from sender: any Connection, to receiver: any Connection) async {
    do {
      while true {
        let bytes = try await sender.read(
          atMost: Self.chunk, deadline: environment.clock.now + Self.idleTimeout)
        if bytes.isEmpty { return receiver.shutdownWrite() }
        try await receiver.write(bytes, deadline: environment.clock.now + Self.idleTimeout)
      }
    } catch {
      sender.reset()
      receiver.reset()
    }
  }

  private func turnAway(_ client: any Connection) async {
    // A client that is gone already needs no answer. One that is still sending may lose it.
    _ = try? await client.read(atMost: Self.chunk, deadline: environment.clock.now + .seconds(1))
    try? await client.write(refusal, deadline: environment.clock.now + .milliseconds(100))
    client.close()
  }
}
