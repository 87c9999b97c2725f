/// A statement that the server has parsed.
public struct PostgresStatement: Hashable, Sendable {
  /// The types of its parameters.
  public let parameters: [PostgresType]
  /// The columns of its result; empty if it returns no rows. Their format is not known yet.
  public let columns: [PostgresColumn]
}

/// The result of a statement.
public struct PostgresResult: Hashable, Sendable {
  /// The rows.
  public var rows: [PostgresRow] = []
  /// The tag, such as `INSERT 0 1`; empty for an empty statement.
  public var tag = ""

  /// The number of rows that the statement changed or returned: the last word of the tag.
  public var count: Int { tag.split(separator: " ").last.flatMap { Int($0) } ?? 0 }
}

/// The client's requests under way on an open connection, in order, and their answers. Requests in,
/// bytes and events out.
///
/// Requests are sent without waiting for the answers of earlier ones. When a request fails, the
/// server skips those that follow, up to the next `sync`.
public struct PostgresPipeline: Sendable {
  /// The name of a request.
  public typealias Ticket = Int

  /// An answer, or a message that belongs to no request.
  public enum Event: Hashable, Sendable {
    case prepared(Ticket, PostgresStatement)
    case finished(Ticket, PostgresResult)
    case failed(Ticket, PostgresFields)
    /// The request was not run: one before it failed.
    case skipped(Ticket)
    /// A `sync` was answered.
    case ready(Ticket, PostgresBackendMessage.TransactionStatus)
    case notice(PostgresFields)
    case notification(channel: String, payload: String)
    case setting(PostgresParameter)
    /// The server ends the connection.
    case ending(PostgresFields)
  }

  private enum Kind {
    case prepare
    case run
    case close
    case sync
    /// A simple query: its own `sync`.
    case query
  }

  private struct Request {
    let ticket: Ticket
    let kind: Kind
    var parameters: [PostgresType]?
    var isParsed = false
    var isBound = false
    var result = PostgresResult()
    var size = 0
  }

  /// The most requests under way.
  static let maximumRequests = 4096
  /// The most bytes of one result, and its most rows. Rows cost more memory than their bytes.
  static let maximumResult = 64 << 20
  static let maximumRows = 1 << 20

  private var parser: PostgresBackendParser
  private var requests: [Request] = []
  private var head = 0
  private var lastTicket: Ticket = 0
  /// Whether the server skips requests until the next sync.
  private var isSkipping = false
  private var output: [UInt8] = []

  /// Continues where a handshake ended.
  public init(_ parser: PostgresBackendParser) { self.parser = parser }

  /// The number of requests that are not answered.
  public var underWay: Int { requests.count - head }

  /// Takes the bytes to send.
  public mutating func takeOutput() -> [UInt8] {
    defer { output = [] }
    return output
  }

  // MARK: Requests

  /// Parses a statement and asks for its types. An empty name is the unnamed statement.
  public mutating func prepare(_ name: String, _ sql: String, types: [PostgresType] = []) -> Ticket {
    PostgresFrontendMessage.parse(statement: name, sql: sql, types: types.map(\.oid)).write(to: &output)
    PostgresFrontendMessage.describe(.statement(name)).write(to: &output)
    return add(.prepare)
  }

  /// Runs a prepared statement.
  public mutating func run(_ name: String, _ statement: PostgresStatement, _ values: [PostgresValue]) -> Ticket {
    var formats: [Int16] = []
    var bytes: [[UInt8]?] = []
    formats.reserveCapacity(values.count)
    bytes.reserveCapacity(values.count)
    for (index, value) in values.enumerated() {
      let type = statement.parameters.indices.contains(index) ? statement.parameters[index] : .unspecified
      let encoded = value.encoded(as: type)
      formats.append(encoded.format.rawValue)
      bytes.append(encoded.bytes)
    }
    let results = statement.columns.map { PostgresValue.format(of: $0.type).rawValue }
    PostgresFrontendMessage.bind(
      PostgresFrontendMessage.Binding(statement: name, formats: formats, values: bytes, resultFormats: results)
    ).write(to: &output)
    PostgresFrontendMessage.execute(portal: "", rows: 0).write(to: &output)
    return add(.run)
  }

  /// Forgets a prepared statement.
  public mutating func close(_ name: String) -> Ticket {
    PostgresFrontendMessage.close(.statement(name)).write(to: &output)
    return add(.close)
  }

  /// Ends a run of requests: the server answers all of them now, and skips none that follow.
  public mutating func sync() -> Ticket {
    PostgresFrontendMessage.sync.write(to: &output)
    return add(.sync)
  }

  /// Runs any number of statements without parameters. The result is that of the last one, with the
  /// rows of all.
  public mutating func query(_ sql: String) -> Ticket {
    PostgresFrontendMessage.query(sql).write(to: &output)
    return add(.query)
  }

  /// Ends the connection in order.
  public mutating func terminate() { PostgresFrontendMessage.terminate.write(to: &output) }

  private mutating func add(_ kind: Kind) -> Ticket {
    lastTicket += 1
    requests.append(Request(ticket: lastTicket, kind: kind))
    return lastTicket
  }

  /// Whether another request may be made.
  public var hasRoom: Bool { underWay < Self.maximumRequests }

  // MARK: Answers

  /// Takes bytes of the server.
  public mutating func receive(_ bytes: [UInt8]) { parser.receive(bytes) }

  /// Returns the next event, or nil when it is not complete.
  /// - Throws: `PostgresProtocolError`. The connection is unusable after it.
  public mutating func next() throws(PostgresProtocolError) -> Event? {
    while true {
      if let skipped = skip() { return skipped }
      guard let message = try parser.next() else { return nil }
      if let event = try take(message) { return event }
    }
  }

  /// Returns the next request that the server does not answer, because one before it failed.
  private mutating func skip() -> Event? {
    guard isSkipping, underWay > 0, requests[head].kind != .sync, requests[head].kind != .query else { return nil }
    return .skipped(pop().ticket)
  }

  private mutating func take(_ message: PostgresBackendMessage) throws(PostgresProtocolError) -> Event? {
    switch message {
    // These may arrive at any time (§55.2.7).
    case .notice(let fields): return .notice(fields)
    case .parameterStatus(let parameter): return .setting(parameter)
    case .notification(_, let channel, let payload): return .notification(channel: channel, payload: payload)
    case .error(let fields): return try fail(fields)
    case .authentication, .backendKey, .negotiateProtocolVersion:
      throw PostgresProtocolError("a message of the handshake after it")
    case .copy, .copyData, .copyDone: throw PostgresProtocolError("COPY, which nobody asked for")
    case .readyForQuery, .parameterDescription, .rowDescription, .noData, .dataRow, .commandComplete, .emptyQuery,
      .portalSuspended, .parseComplete, .bindComplete, .closeComplete:
      guard underWay > 0 else { throw PostgresProtocolError("an answer without a request") }
    }
    switch requests[head].kind {
    case .sync: return try answerSync(message)
    case .prepare: return try answerPrepare(message)
    case .run: return try answerRun(message)
    case .query: return try answerQuery(message)
    case .close:
      guard case .closeComplete = message else { throw Self.unexpected }
      return .finished(pop().ticket, PostgresResult())
    }
  }

  private static let unexpected = PostgresProtocolError("an answer that does not fit its request")

  private mutating func fail(_ fields: PostgresFields) throws(PostgresProtocolError) -> Event? {
    // The server says why it ends the connection, perhaps while it answers nothing.
    if fields.endsConnection { return .ending(fields) }
    guard underWay > 0 else { throw PostgresProtocolError("an error without a request") }
    switch requests[head].kind {
    case .sync:
      // COMMIT of an implicit transaction happens at Sync, and may fail.
      return .failed(requests[head].ticket, fields)
    case .query:
      // ReadyForQuery ends the request.
      guard !isSkipping else { throw Self.unexpected }
      isSkipping = true
      return .failed(requests[head].ticket, fields)
    case .prepare, .run, .close:
      isSkipping = true
      return .failed(pop().ticket, fields)
    }
  }

  private mutating func answerSync(_ message: PostgresBackendMessage) throws(PostgresProtocolError) -> Event {
    guard case .readyForQuery(let status) = message else { throw Self.unexpected }
    isSkipping = false
    return .ready(pop().ticket, status)
  }

  private mutating func answerPrepare(_ message: PostgresBackendMessage) throws(PostgresProtocolError) -> Event? {
    switch (message, requests[head].isParsed, requests[head].parameters) {
    case (.parseComplete, false, nil):
      requests[head].isParsed = true
      return nil
    case (.parameterDescription(let types), true, nil):
      requests[head].parameters = types.map { PostgresType($0) }
      return nil
    case (.rowDescription(let columns), true, let parameters?):
      return .prepared(pop().ticket, PostgresStatement(parameters: parameters, columns: columns))
    case (.noData, true, let parameters?):
      return .prepared(pop().ticket, PostgresStatement(parameters: parameters, columns: []))
    default: throw Self.unexpected
    }
  }

  private mutating func answerRun(_ message: PostgresBackendMessage) throws(PostgresProtocolError) -> Event? {
    switch (message, requests[head].isBound) {
    case (.bindComplete, false):
      requests[head].isBound = true
      return nil
    case (.dataRow(let row), true):
      try add(row)
      return nil
    case (.commandComplete(let tag), true):
      var request = pop()
      request.result.tag = tag
      return .finished(request.ticket, request.result)
    case (.emptyQuery, true):
      let request = pop()
      return .finished(request.ticket, request.result)
    default: throw Self.unexpected
    }
  }

  private mutating func answerQuery(_ message: PostgresBackendMessage) throws(PostgresProtocolError) -> Event? {
    switch message {
    case .rowDescription where !isSkipping, .emptyQuery where !isSkipping: return nil
    case .dataRow(let row) where !isSkipping:
      try add(row)
      return nil
    case .commandComplete(let tag) where !isSkipping:
      requests[head].result.tag = tag
      return nil
    case .readyForQuery(let status):
      let request = pop()
      defer { isSkipping = false }
      // A failed query was reported before. The state tells whether its transaction goes on.
      if isSkipping { return .ready(request.ticket, status) }
      return .finished(request.ticket, request.result)
    default: throw Self.unexpected
    }
  }

  private mutating func add(_ row: PostgresRow) throws(PostgresProtocolError) {
    requests[head].size += row.size
    guard requests[head].size <= Self.maximumResult, requests[head].result.rows.count < Self.maximumRows else {
      throw PostgresProtocolError("a result that is too large")
    }
    requests[head].result.rows.append(row)
  }

  private mutating func pop() -> Request {
    let request = requests[head]
    head += 1
    if head == requests.count {
      requests.removeAll(keepingCapacity: true)
      head = 0
    } else if head >= 64, head * 2 >= requests.count {
      requests.removeFirst(head)
      head = 0
    }
    return request
  }
}
