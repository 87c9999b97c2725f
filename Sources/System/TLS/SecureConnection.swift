import Environment

/// A connection inside TLS.
///
/// A server shakes hands when it first reads or writes, so a listener accepts without waiting, and
/// the deadline of the first read bounds the handshake, too. The bytes of a write are encrypted at
/// once. If the network does not take all of them, a task sends the rest, as a kernel does from the
/// buffer of a socket.
///
/// Used on one node, by at most one reader and one writer at a time. It is `@unchecked Sendable` as
/// the connection below it is.
public final class SecureConnection: Connection, @unchecked Sendable {
  /// The longest time of a handshake.
  static let handshakePatience: Duration = .seconds(10)
  /// The longest time in which the network takes bytes that a write left behind.
  static let flushPatience: Duration = .seconds(60)
  /// The longest time in which the network takes the last bytes of a closed connection.
  static let closePatience: Duration = .seconds(5)
  /// Bytes that are encrypted at a time: the contents of four full records.
  private static let piece = 65_536

  /// The node and its limits, which all its connections share.
  final class Node: Sendable {
    let environment: Environment
    let randomness: Randomness
    let handshakes = HandshakeLimit()

    init(_ environment: Environment) {
      self.environment = environment
      randomness = Randomness(environment.entropy)
    }
  }

  private enum Role {
    case server(ServerContext)
    case client(ClientContext)
  }

  private enum Phase {
    /// Nothing was received yet.
    case fresh
    case underWay
    case established
    case failed(NetworkError)
  }

  /// An action that waits for the bytes before it.
  private enum Ending { case none, shutdownWrite, close }

  private let node: Node
  private let connection: any Connection
  private let role: Role
  private let limit: Instant
  private var stream: SecureStream?
  private var phase = Phase.fresh
  private var isCharged = false
  /// Opened when the handshake or a write ends.
  private let changed = Gate()
  private var isWriting = false
  private var isClosed = false
  private var hasReceivedEnd = false
  private var ending = Ending.none
  /// Whether a client has shown a certificate of an authority that the server trusts.
  public private(set) var isAuthenticated = false

  /// True.
  public var isSecure: Bool { true }
  /// The address of the other end.
  public var peer: SocketAddress { connection.peer }

  /// The server's end of `connection`.
  init(server context: ServerContext, _ node: Node, _ connection: any Connection) {
    self.node = node
    self.connection = connection
    role = .server(context)
    limit = node.environment.clock.now + Self.handshakePatience
  }

  private init(client context: ClientContext, _ node: Node, _ connection: any Connection) {
    self.node = node
    self.connection = connection
    role = .client(context)
    limit = node.environment.clock.now + Self.handshakePatience
  }

  deinit { if isCharged { node.handshakes.end(with: peer.host, isCompleted: false) } }

  /// Turns `connection` into a secure one, as the client. `connection` may have been used before,
  /// for the request of a protocol to begin TLS, as that of PostgreSQL.
  /// - Throws: `NetworkError.insecure` with the reason, `.timedOut` at `deadline` or after 10 s,
  ///   and the errors of `connection`, which is reset then.
  public static func client(
    _ context: ClientContext, over connection: any Connection, in environment: Environment, deadline: Instant
  ) async throws -> SecureConnection {
    try await client(context, over: connection, on: Node(environment), deadline: deadline)
  }

  static func client(
    _ context: ClientContext, over connection: any Connection, on node: Node, deadline: Instant
  ) async throws -> SecureConnection {
    let secure = SecureConnection(client: context, node, connection)
    do { try await secure.shakeHands(deadline) } catch {
      secure.reset()
      throw error
    }
    return secure
  }

  /// The certificate that the peer has shown. A client has verified it, unless it trusts anyone.
  public var peerCertificate: Certificate? { stream?.peerCertificate }

  // MARK: The handshake

  private func shakeHands(_ deadline: Instant?) async throws {
    while true {
      switch phase {
      case .established: return
      case .failed(let error): throw error
      case .underWay:
        guard await changed.wait(until: min(deadline ?? limit, limit), in: node.environment) else {
          throw NetworkError.timedOut
        }
      case .fresh:
        phase = .underWay
        defer { changed.open() }
        do {
          try await shakeHandsAlone(min(deadline ?? limit, limit))
          phase = .established
        } catch is CancellationError where stream == nil {
          phase = .fresh
          throw CancellationError()
        } catch {
          fail(error)
          throw error
        }
      }
    }
  }

  private func shakeHandsAlone(_ deadline: Instant) async throws {
    let stream: SecureStream
    switch role {
    case .client(let context):
      stream = SecureStream(client: context, node.randomness, at: node.environment.clock.wallTime)
    case .server(let context):
      // A client that sends nothing costs nothing.
      let bytes = try await connection.read(atMost: 16_384, deadline: deadline)
      if bytes.isEmpty { throw NetworkError.reset }
      guard node.handshakes.begin(with: peer.host) else { throw NetworkError.exhausted("too many handshakes") }
      isCharged = true
      stream = SecureStream(server: context, node.randomness, at: node.environment.clock.wallTime)
      stream.receive(bytes)
    }
    self.stream = stream
    while true {
      let isComplete = try stream.shakeHands()
      let output = stream.takeOutput()
      if !output.isEmpty { try await connection.write(output, deadline: deadline) }
      if isComplete { break }
      let bytes = try await connection.read(atMost: 16_384, deadline: deadline)
      if bytes.isEmpty { stream.receiveEnd() } else { stream.receive(bytes) }
    }
    if isClosed { throw NetworkError.closed }
    if case .server = role { isAuthenticated = stream.peerCertificate != nil }
    endCharge(isCompleted: true)
  }

  private func endCharge(isCompleted: Bool) {
    guard isCharged else { return }
    isCharged = false
    node.handshakes.end(with: peer.host, isCompleted: isCompleted)
  }

  /// Ends a handshake that failed. The alert tells the peer why.
  private func fail(_ error: any Error) {
    let reason = error as? NetworkError ?? .closed
    phase = .failed(reason)
    endCharge(isCompleted: false)
    if case .insecure(let text) = reason, case .server = role {
      node.environment.log.info("handshake-failed", ["peer": .string(peer.host), "reason": .string(text)])
    }
    if case .exhausted = reason { return connection.reset() }
    guard let alert = stream?.takeOutput(), !alert.isEmpty else { return }
    // The peer may be gone.
    _ = try? connection.writeNow(alert[...])
  }

  // MARK: Reading

  /// Whether the peer has ended its direction or closed the connection.
  public var hasEnded: Bool { isClosed || hasReceivedEnd || connection.hasEnded }

  /// Waits for bytes and returns between 1 and `limit` of them, or an empty array after the alert
  /// `close_notify`.
  /// - Throws: also `NetworkError.reset` for a stream that ends without the alert, since an
  ///   attacker could have cut it off (RFC 8446 §6.1); `.insecure` for bytes that are not TLS.
  public func read(atMost limit: Int, deadline: Instant?) async throws -> [UInt8] {
    try await shakeHands(deadline)
    guard let stream else { throw NetworkError.closed }
    while true {
      if isClosed { throw NetworkError.closed }
      let result: SecureStream.Reading
      do throws(NetworkError) { result = try stream.read(atMost: limit) } catch {
        send()
        throw error
      }
      send()
      switch result {
      case .bytes(let bytes): return bytes
      case .end:
        hasReceivedEnd = true
        return []
      case .needsInput: break
      }
      let bytes = try await connection.read(atMost: min(Self.piece, max(limit, 4096)), deadline: deadline)
      if bytes.isEmpty { stream.receiveEnd() } else { stream.receive(bytes) }
    }
  }

  // MARK: Writing

  /// Encrypts and writes all of `bytes`.
  public func write(_ bytes: [UInt8], deadline: Instant?) async throws {
    try await shakeHands(deadline)
    var rest = bytes[...]
    while !rest.isEmpty {
      try await waitToWrite(deadline)
      guard let stream else { throw NetworkError.closed }
      let part = rest.prefix(Self.piece)
      rest = rest.dropFirst(part.count)
      try stream.write(part)
      isWriting = true
      do { try await connection.write(stream.takeOutput(), deadline: deadline) } catch {
        // The peer may have a part of a record.
        writingFailed(error)
        throw error
      }
      endWrite()
    }
  }

  private func waitToWrite(_ deadline: Instant?) async throws {
    while true {
      if isClosed { throw NetworkError.closed }
      if case .failed(let error) = phase { throw error }
      if !isWriting { return }
      let limit = deadline ?? Instant(nanoseconds: .max)
      guard await changed.wait(until: limit, in: node.environment) else { throw NetworkError.timedOut }
    }
  }

  /// Encrypts and writes as many of `bytes` as the network accepts without waiting, and up to 64
  /// KiB more, which a task sends. Returns their number, 0 before the handshake.
  public func writeNow(_ bytes: ArraySlice<UInt8>) throws -> Int {
    if isClosed { throw NetworkError.closed }
    switch phase {
    case .fresh, .underWay: return 0
    case .failed(let error): throw error
    case .established: break
    }
    guard let stream else { throw NetworkError.closed }
    var rest = bytes
    while !rest.isEmpty, !isWriting {
      let part = rest.prefix(Self.piece)
      rest = rest.dropFirst(part.count)
      try stream.write(part)
      try sendOutput(stream)
    }
    return bytes.count - rest.count
  }

  /// Sends what OpenSSL has for the peer beside the caller's bytes: alerts and updates of keys.
  private func send() {
    guard !isWriting, let stream, stream.unsent > 0 else { return }
    // The next read or write of the caller finds a lost connection.
    try? sendOutput(stream)
  }

  private func sendOutput(_ stream: SecureStream) throws {
    let output = stream.takeOutput()
    let taken = try connection.writeNow(output[...])
    if taken < output.count { flush(Array(output[taken...])) }
  }

  private func flush(_ rest: [UInt8]) {
    isWriting = true
    let patience = isClosed ? Self.closePatience : Self.flushPatience
    let deadline = node.environment.clock.now + patience
    node.environment.executor.spawn("tls-flush", isolation: nil) { [self] in
      do {
        try await connection.write(rest, deadline: deadline)
        endWrite()
      } catch {
        writingFailed(error)
        connection.reset()
      }
    }
  }

  private func endWrite() {
    isWriting = false
    send()
    if !isWriting { end() }
    changed.open()
  }

  private func writingFailed(_ error: any Error) {
    isWriting = false
    phase = .failed(error as? NetworkError ?? .closed)
    end()
    changed.open()
  }

  // MARK: The end

  /// Ends the stream in this direction, with the alert `close_notify` and the end of the stream
  /// below.
  public func shutdownWrite() {
    guard !isClosed, case .none = ending else { return }
    ending = .shutdownWrite
    stream?.endWriting()
    send()
    if !isWriting { end() }
  }

  /// Closes the connection, after the bytes that were written and the alert `close_notify`.
  /// Idempotent.
  public func close() {
    guard !isClosed else { return }
    isClosed = true
    ending = .close
    stream?.endWriting()
    send()
    if !isWriting { end() }
    changed.open()
  }

  /// Aborts the connection and drops unsent bytes.
  public func reset() {
    isClosed = true
    ending = .none
    connection.reset()
    changed.open()
  }

  /// Does what had to wait for the bytes before it.
  private func end() {
    switch ending {
    case .none: return
    case .shutdownWrite: connection.shutdownWrite()
    case .close: connection.close()
    }
    ending = .none
  }
}
