import Environment

/// A client of server-sent events, with a connection of its own. Used by one task at a time.
public final class EventStreamClient: @unchecked Sendable {
  /// The reason why there is no stream.
  public enum Failure: Error, Hashable, Sendable {
    /// The server answered with another status.
    case refused(Int)
    /// The stream breaks the format.
    case malformed
  }

  private let connection: any Connection
  private var parser = EventStreamParser()

  private init(_ connection: any Connection) { self.connection = connection }

  /// Connects and requests `target`, starting after `lastEventID`.
  public static func open(
    _ environment: Environment, _ address: SocketAddress, _ target: String, lastEventID: String?,
    fields: [(name: String, value: String)], timeout: Duration
  ) async throws -> EventStreamClient {
    let deadline = environment.clock.now + timeout
    let connection = try await environment.network.connect(to: address, deadline: deadline)
    do {
      var request = "GET \(target) HTTP/1.1\r\nhost: \(address)\r\naccept: text/event-stream\r\n"
      if let lastEventID { request += "last-event-id: \(lastEventID)\r\n" }
      for field in fields { request += "\(field.name): \(field.value)\r\n" }
      try await connection.write(Array((request + "\r\n").utf8), deadline: deadline)
      let client = EventStreamClient(connection)
      try await client.readHead(deadline)
      return client
    } catch {
      connection.reset()
      throw error
    }
  }

  private func readHead(_ deadline: Instant) async throws {
    var buffer = HTTPMessageBuffer()
    while true {
      let bytes = try await connection.read(atMost: 65_536, deadline: deadline)
      if bytes.isEmpty { throw NetworkError.closed }
      buffer.receive(bytes)
      guard let head = try buffer.takeHead(limit: 32_768) else { continue }
      let status = Int(String(decoding: head, as: UTF8.self).split(separator: " ").dropFirst().first ?? "") ?? 0
      guard status == 200 else { throw Failure.refused(status) }
      try receive(Array(buffer.take(atMost: .max)))
      return
    }
  }

  private func receive(_ bytes: [UInt8]) throws {
    do { try parser.receive(bytes) } catch { throw Failure.malformed }
  }

  /// Returns the next event, or nil at the end of the stream.
  /// - Throws: `NetworkError.timedOut` if nothing arrives for `patience`, not even a comment.
  public func next(patience: Duration, _ clock: any Clock) async throws -> ServerSentEvent? {
    while true {
      if let event = parser.next() { return event }
      let bytes = try await connection.read(atMost: 65_536, deadline: clock.now + patience)
      if bytes.isEmpty { return nil }
      try receive(bytes)
    }
  }

  /// Closes the stream.
  public func close() { connection.reset() }
}
