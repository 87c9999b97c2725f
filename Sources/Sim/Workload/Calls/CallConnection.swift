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
  /// The arguments as the service reads them: in a query all values are texts.
  let sent: JSONValue
  let bytes: [UInt8]

  /// Makes a request. `proof` is the token that it shows.
  init(
    _ row: CallRow, _ arguments: [JSONValue.Member], headers: [(name: String, value: String)], token: JSONValue?,
    proof: String?
  ) {
    self.row = row
    self.arguments = arguments
    self.token = token
    self.proof = proof
    let isQuery = row.route.arguments != nil && row.route.method == "GET"
    sent = isQuery ? Self.read(arguments, row.fields ?? []) : .object(arguments)
    var target = row.route.path
    if isQuery, !arguments.isEmpty {
      target += "?" + arguments.flatMap(Self.pairs).joined(separator: "&")
    }
    var head = "\(row.route.method) \(target) HTTP/1.1\r\nhost: \(row.address)\r\n"
    for header in headers { head += "\(header.name): \(header.value)\r\n" }
    if let proof { head += "authorization: Bearer \(proof)\r\n" }
    guard row.route.body != nil || row.route.arguments != nil && row.route.method != "GET" else {
      bytes = Array((head + "\r\n").utf8)
      return
    }
    let body = JSONValue.object(arguments).bytes
    head += "content-type: application/json\r\ncontent-length: \(body.count)\r\n\r\n"
    bytes = Array(head.utf8) + body
  }

  /// The pairs of a query for a member; an array has one for each element.
  private static func pairs(_ member: JSONValue.Member) -> [String] {
    texts(member).map { "\(member.name)=\(PercentEncoding.encode($0))" }
  }

  private static func texts(_ member: JSONValue.Member) -> [String] {
    (member.value.array ?? [member.value]).map { $0.string ?? $0.text }
  }

  private static func read(_ arguments: [JSONValue.Member], _ fields: [Schema.Field]) -> JSONValue {
    .object(
      fields.compactMap { field in
        let texts = arguments.filter { $0.name == field.name }.flatMap(texts)
        return texts.isEmpty ? nil : .init(field.name, field.schema.inQuery(texts))
      })
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
