import Environment

/// An HTTP/1.1 client with one connection that sends one request at a time.
///
/// Used by one task at a time. It never repeats a request: only the caller knows whether that is
/// safe.
public final class HTTPClient: @unchecked Sendable {
  private let environment: Environment
  private let address: SocketAddress
  /// The value of the `Host` field.
  private let host: String
  private var connection: (any Connection)?
  private var parser = HTTPResponseParser()

  /// Makes a client of the server at `address`. It connects at the first request.
  public init(_ environment: Environment, address: SocketAddress) {
    self.environment = environment
    self.address = address
    host = address.description
  }

  /// Sends a request and waits for the response. It has the trace of the request that the caller
  /// handles.
  /// - Throws: `NetworkError`, `HTTPError`. The server may have served the request nevertheless.
  public func send(
    _ method: String, _ target: String, fields: [(name: String, value: String)] = [], json: JSONValue? = nil,
    timeout: Duration
  ) async throws -> HTTPResponse {
    var output: [UInt8] = []
    output.reserveCapacity(512)
    output.append(utf8: method)
    output.append(" ")
    output.append(utf8: target)
    output.append(" HTTP/1.1\r\nhost: ")
    output.append(utf8: host)
    output.append("\r\n")
    for field in fields + (RequestTrace.current?.fields ?? []) {
      output.append(utf8: field.name)
      output.append(": ")
      output.append(utf8: field.value)
      output.append("\r\n")
    }
    if let json {
      let body = json.bytes
      output.append("content-type: application/json\r\ncontent-length: ")
      output.append(decimal: Int64(body.count))
      output.append("\r\n\r\n")
      output += body
    } else {
      output.append("\r\n")
    }
    return try await send(output, answersHead: method == "HEAD", timeout: timeout)
  }

  /// Sends the bytes of a request and waits for the response. `pieces` splits the bytes and pauses
  /// after each piece.
  public func send(
    _ bytes: [UInt8], answersHead: Bool = false, pieces: [(count: Int, pause: Duration)] = [], timeout: Duration
  ) async throws -> HTTPResponse {
    let deadline = environment.clock.now + timeout
    do {
      let connection = try await connected(deadline)
      parser.answersHead = answersHead
      let isWritten = try await write(bytes, in: pieces, to: connection, deadline)
      let response = try await response(connection, deadline, isComplete: isWritten)
      if !isWritten || !parser.keepsAlive { close() }
      return response
    } catch {
      abandon()
      throw error
    }
  }

  /// Writes a request. Returns whether all of it was written: a server may answer and close the
  /// connection before it has read the whole request (RFC 9112 §9.5).
  private func write(
    _ bytes: [UInt8], in pieces: [(count: Int, pause: Duration)], to connection: any Connection, _ deadline: Instant
  ) async throws -> Bool {
    do {
      var rest = bytes[...]
      for piece in pieces {
        try await connection.write(Array(rest.prefix(piece.count)), deadline: deadline)
        rest = rest.dropFirst(piece.count)
        try await environment.clock.sleep(for: piece.pause)
      }
      if !rest.isEmpty { try await connection.write(pieces.isEmpty ? bytes : Array(rest), deadline: deadline) }
      return true
    } catch NetworkError.reset {
      return false
    }
  }

  private func connected(_ deadline: Instant) async throws -> any Connection {
    if let connection { return connection }
    let connection = try await environment.network.connect(to: address, deadline: deadline)
    self.connection = connection
    parser = HTTPResponseParser()
    return connection
  }

  /// Reads a response. Without one, the error of an incomplete request is `NetworkError.reset`.
  private func response(_ connection: any Connection, _ deadline: Instant, isComplete: Bool) async throws
    -> HTTPResponse
  {
    while true {
      if let response = try parser.next() { return response }
      let bytes = try await connection.read(atMost: 65_536, deadline: deadline)
      if bytes.isEmpty {
        guard let response = try parser.end() else { throw isComplete ? NetworkError.closed : NetworkError.reset }
        return response
      }
      parser.receive(bytes)
    }
  }

  /// Whether the server has closed the connection, so that a request on it would be lost.
  var hasEnded: Bool { connection?.hasEnded ?? false }

  /// Closes the connection.
  public func close() {
    connection?.close()
    connection = nil
  }

  /// Resets the connection. Requests in flight are lost.
  public func abandon() {
    connection?.reset()
    connection = nil
  }
}
