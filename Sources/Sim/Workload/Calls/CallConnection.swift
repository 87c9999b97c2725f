import Environment
import System

/// A request with its bytes.
struct CallRequest {
  let row: CallRow
  /// The arguments, from which the caller learns when they are accepted.
  let arguments: [JSONValue.Member]
  let token: JSONValue?
  /// The bearer token that it shows.
  let proof: String?
  let spelling: RequestSpelling
  /// The arguments as the service reads them: in a query all values are texts.
  let sent: JSONValue
  let bytes: [UInt8]

  /// Makes a request. `proof` is the token that it shows.
  init(
    _ row: CallRow, _ arguments: [JSONValue.Member], headers: [(name: String, value: String)], token: JSONValue?,
    proof: String?, _ spelling: RequestSpelling
  ) {
    self.row = row
    self.arguments = arguments
    self.token = token
    self.proof = proof
    self.spelling = spelling
    let written =
      row.route.arguments != nil
      ? spelling.arguments(arguments, of: row)
      : row.route.body != nil ? spelling.body(arguments) : .init(sent: .object(arguments))
    sent = written.sent
    var target = spelling.isAbsolute ? "http://\(row.address)\(row.route.path)" : row.route.path
    if !written.query.isEmpty { target += "?" + spelling.pairs(written.query) }
    var head = "\(row.route.method) \(target) HTTP/1.\(spelling.isVersion10 ? 0 : 1)\r\n"
    head += spelling.line("host", "\(row.address)")
    for header in headers { head += spelling.line(header.name, header.value) }
    if let proof { head += spelling.line("authorization", "\(spelling.scheme) \(proof)") }
    if let id = spelling.requestID { head += spelling.line("x-request-id", id) }
    if spelling.keepsAlive { head += spelling.line("connection", "keep-alive") }
    guard let type = written.type else {
      bytes = Array((head + "\r\n").utf8)
      return
    }
    let (lines, body) = spelling.framed(written.body)
    bytes = Array((head + spelling.line("content-type", type) + lines + "\r\n").utf8) + body
  }

  /// Whether the arguments do not have the shape that the row names.
  var isMalformed: Bool { row.shape.map { !$0.fits(sent) } ?? false }

  /// Without secrets and without the head.
  var what: String { "\(row.service): \(row.name) \(JSONValue.object(arguments).text)" }
}

/// One connection of a caller. It sends any number of requests before it reads their answers.
final class CallConnection {
  let service: String
  private let connection: any Connection
  private let environment: Environment
  private var parser = HTTPResponseParser()
  private(set) var hasEnded = false

  /// Connects to the service of a row.
  /// - Throws: `NetworkError`.
  init(to row: CallRow, _ environment: Environment) async throws {
    service = row.service
    self.environment = environment
    connection = try await environment.network.connect(to: row.address, deadline: environment.clock.now + .seconds(2))
  }

  /// Writes bytes, in pieces of `size` with a pause after each if `size` is not nil.
  func write(_ bytes: [UInt8], piece size: Int? = nil) async throws {
    let deadline = environment.clock.now + .seconds(10)
    guard let size else { return try await connection.write(bytes, deadline: deadline) }
    for start in stride(from: 0, to: bytes.count, by: size) {
      try await connection.write(Array(bytes[start..<min(start + size, bytes.count)]), deadline: deadline)
      try await environment.clock.sleep(for: .milliseconds(1))
    }
  }

  /// The next answer.
  /// - Throws: `NetworkError`, `HTTPError`.
  func answer(until deadline: Instant) async throws -> HTTPResponse {
    while true {
      if let response = try parser.next() {
        if response["connection"] == "close" { close() }
        return response
      }
      let bytes = try await connection.read(atMost: 65_536, deadline: deadline)
      if bytes.isEmpty {
        hasEnded = true
        guard let response = try parser.end() else { throw NetworkError.closed }
        return response
      }
      parser.receive(bytes)
    }
  }

  /// What comes within a short time although no request is open: nothing, if all is well.
  func surplus() async throws -> [UInt8] {
    if hasEnded { return [] }
    do {
      let bytes = try await connection.read(atMost: 4096, deadline: environment.clock.now + .milliseconds(3))
      if bytes.isEmpty { close() }
      return bytes
    } catch NetworkError.timedOut { return [] }
  }

  func close() {
    hasEnded = true
    connection.close()
  }

  func reset() {
    hasEnded = true
    connection.reset()
  }
}
