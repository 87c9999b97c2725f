import System

/// A session's side of protocol 3.0 (PostgreSQL 15, chapter 55): messages in, bytes out.
final class ServerSession {
  struct Portal {
    var statement: PreparedStatement
    var text: [UInt8]
    var parameters: [StoredValue]
    var formats: [Int16]
    /// The rows that were not returned yet, of a portal that was executed in parts.
    var rest: [[StoredValue]]?
    var tag = ""
  }

  /// What waits for the result of a statement.
  private enum Pending {
    case execute(portal: String, rows: Int)
    case simple(PreparedStatement, rest: [SQLParser.Parsed])
  }

  /// When a session dies that was told to commit.
  enum Loss {
    case beforeCommit, afterCommit
  }

  let id: Int
  /// What a CancelRequest has to show.
  let key: [UInt8]
  private let engine: DatabaseEngine
  private var statements: [String: (prepared: PreparedStatement, text: [UInt8])] = [:]
  private var portals: [String: Portal] = [:]
  private var inbox: [PostgresFrontendMessage] = []
  private var pending: Pending?
  /// Whether an error makes it ignore messages up to the next Sync.
  private var isSkipping = false
  var settings = ServerSettings()
  var output: [UInt8] = []
  /// Whether the connection ends after the output.
  private(set) var hasEnded = false
  private var notifications: [PostgresBackendMessage] = []
  /// Microseconds since 2000.
  var clock: Int64 = 0
  /// Rises with each message, to notice idleness.
  private(set) var activity = 0
  /// Called before each statement in a transaction: an error that is due out of the blue.
  var surprise: () -> ServerError? = { nil }
  /// Called before each COMMIT of changes: whether the session dies of it.
  var loss: () -> Loss? = { nil }

  init(_ id: Int, key: [UInt8], engine: DatabaseEngine) {
    self.id = id
    self.key = key
    self.engine = engine
  }

  var isWaiting: Bool { pending != nil }

  /// Whether it is idle in a transaction.
  var isIdleInTransaction: Bool { !isWaiting && inbox.isEmpty && engine.session(id).transaction?.isExplicit == true }

  func send(_ message: PostgresBackendMessage) { message.write(to: &output) }

  func ready() {
    let transaction = engine.session(id).transaction
    if transaction == nil { deliver() }
    send(.readyForQuery(transaction == nil ? .idle : transaction!.hasFailed ? .failed : .open))
  }

  private func deliver() {
    for notification in notifications { send(notification) }
    notifications = []
  }

  /// Takes a notification, which is sent once no transaction is open.
  func notify(from sender: Int, _ channel: String, _ payload: [UInt8]) {
    notifications.append(
      .notification(
        process: Int32(truncatingIfNeeded: sender), channel: channel, payload: String(decoding: payload, as: UTF8.self))
    )
    if !isWaiting, engine.session(id).transaction == nil { deliver() }
  }

  // MARK: Messages

  /// Takes messages, and handles them until one has to wait.
  func receive(_ messages: [PostgresFrontendMessage]) throws {
    activity += 1
    inbox += messages
    try advance()
  }

  private func advance() throws {
    while pending == nil, !hasEnded, !inbox.isEmpty {
      let message = inbox.removeFirst()
      do {
        try handle(message)
      } catch let error as ServerError {
        pending = nil
        fail(try engine.refuse(id, error), message)
      }
    }
  }

  /// Goes on with the result of a statement that waited.
  func resume(_ result: StatementResult) throws {
    try finish(result)
    try advance()
  }

  /// Ends the session with an error.
  func end(_ code: String, _ message: String) {
    send(.error(ServerError(code, message).fields("FATAL")))
    hasEnded = true
  }

  private func fail(_ error: ServerError, _ message: PostgresFrontendMessage?) {
    send(.error(error.fields("ERROR")))
    if case .query? = message { return }
    isSkipping = true
  }

  private func handle(_ message: PostgresFrontendMessage) throws {
    switch message {
    case .terminate: hasEnded = true
    case .sync:
      isSkipping = false
      try endImplicit()
      ready()
    case .query(let sql):
      isSkipping = false
      do {
        try simple(try SQLParser.statements(Array(sql.utf8)))
      } catch let error as ServerError {
        send(.error(try engine.refuse(id, error).fields("ERROR")))
        try endSimple()
      }
    case _ where isSkipping: break
    case .parse(let name, let sql, let types): try parse(name, Array(sql.utf8), types)
    case .bind(let binding): try bind(binding)
    case .describe(.statement(let name)): try describe(name)
    case .describe(.portal(let name)):
      guard let portal = portals[name] else { throw ServerError("34000", "portal \"\(name)\" does not exist") }
      describe(portal.statement, portal.formats)
    case .execute(let portal, let rows): try execute(portal, Int(rows))
    case .close(.statement(let name)):
      statements[name] = nil
      send(.closeComplete)
    case .close(.portal(let name)):
      portals[name] = nil
      send(.closeComplete)
    case .flush: break
    default: end("08P01", "invalid frontend message")
    }
  }

  /// Ends a transaction that no BEGIN started.
  private func endImplicit() throws {
    portals = engine.session(id).transaction?.isExplicit == true ? portals : [:]
    guard engine.session(id).transaction?.isExplicit == false else { return }
    if let error = try engine.commit(id).error { send(.error(error.fields("ERROR"))) }
  }

  // MARK: Extended queries

  private func parse(_ name: String, _ sql: [UInt8], _ types: [UInt32]) throws {
    guard name.isEmpty || statements[name] == nil else {
      throw ServerError("42P05", "prepared statement \"\(name)\" already exists")
    }
    var parameters: [SQLType] = []
    for type in types {
      guard let known = type == 0 ? .unknown : SQLType(rawValue: type) else {
        throw ServerError.unknown("the type \(type)")
      }
      parameters.append(known)
    }
    let parsed = try SQLParser.statement(sql)
    statements[name] = (try engine.prepare(id, parsed, parameters), parsed.text)
    send(.parseComplete)
  }

  private func bind(_ binding: PostgresFrontendMessage.Binding) throws {
    guard let (prepared, text) = statements[binding.statement] else {
      throw ServerError("26000", "prepared statement \"\(binding.statement)\" does not exist")
    }
    guard binding.values.count == prepared.parameters.count else {
      throw ServerError(
        "08P01", "bind message supplies \(binding.values.count) parameters, but \(prepared.parameters.count) are needed"
      )
    }
    try engine.requireUsable(id, prepared.statement)
    var values: [StoredValue] = []
    for (index, type) in prepared.parameters.enumerated() {
      let format = binding.formats.count > 1 ? binding.formats[index] : binding.formats.first ?? 0
      let bytes = binding.values[index]  // An array: not in any order.
      values.append(try WireForm.read(bytes, as: type, isBinary: format == 1))
    }
    portals[binding.portal] = Portal(
      statement: prepared, text: text, parameters: values, formats: binding.resultFormats)
    send(.bindComplete)
  }

  private func describe(_ name: String) throws {
    guard let (prepared, _) = statements[name] else {
      throw ServerError("26000", "prepared statement \"\(name)\" does not exist")
    }
    send(.parameterDescription(prepared.parameters.map(\.rawValue)))
    describe(prepared, [])
  }

  private func describe(_ prepared: PreparedStatement, _ formats: [Int16]) {
    guard let columns = prepared.columns else { return send(.noData) }
    send(.rowDescription(columns.enumerated().map { $1.description(Self.isBinary(formats, $0)) }))
  }

  private static func isBinary(_ formats: [Int16], _ column: Int) -> Bool {
    (formats.count > 1 ? formats[column] : formats.first ?? 0) == 1
  }

  private func execute(_ name: String, _ rows: Int) throws {
    guard let portal = portals[name] else { throw ServerError("34000", "portal \"\(name)\" does not exist") }
    pending = .execute(portal: name, rows: rows)
    if let rest = portal.rest { return try finish(.answer(StatementAnswer(rows: rest, tag: portal.tag))) }
    if let result = try run(portal.statement, portal.parameters, portal.text) { try finish(result) }
  }

  private func run(_ prepared: PreparedStatement, _ parameters: [StoredValue], _ text: [UInt8]) throws
    -> StatementResult?
  {
    if let transaction = engine.session(id).transaction, transaction.isExplicit, !transaction.hasFailed,
      !prepared.statement.endsTransaction, let error = surprise()
    {
      return .failure(try engine.refuse(id, error))
    }
    if case .commit = prepared.statement, let transaction = engine.session(id).transaction, !transaction.hasFailed,
      !transaction.changes.isEmpty, let loss = loss()
    {
      if loss == .afterCommit { _ = try engine.run(id, prepared, parameters, text: text, clock: clock) }
      hasEnded = true
      pending = nil
      return nil
    }
    if let answer = try settings.run(prepared.statement, engine.session(id)) { return .answer(answer) }
    switch prepared.statement {
    case .deallocate(let name):
      if let name { statements[name] = nil } else { statements = [:] }
    case .discardAll: statements = [:]
    default: break
    }
    return try engine.run(id, prepared, parameters, text: text, clock: clock)
  }

  // MARK: Results

  private func finish(_ result: StatementResult) throws {
    guard let pending else { fatalError("a result that nobody waits for") }
    self.pending = nil
    switch (result, pending) {
    case (.failure(let error), .execute): fail(error, nil)
    case (.failure(let error), .simple):
      send(.error(error.fields("ERROR")))
      try endSimple()
    case (.answer(let answer), .execute(let name, let limit)):
      let portal = portals[name]!
      for notice in answer.notices { send(.notice(notice.fields("WARNING"))) }
      if case .empty = portal.statement.statement { return send(.emptyQuery) }
      let part = limit > 0 ? Array(answer.rows.prefix(limit)) : answer.rows
      guard try rows(part, portal.statement, portal.formats) else { return }
      if part.count < answer.rows.count {
        portals[name]!.rest = Array(answer.rows.dropFirst(limit))
        portals[name]!.tag = answer.tag
        return send(.portalSuspended)
      }
      send(.commandComplete(answer.tag))
    case (.answer(let answer), .simple(let prepared, let rest)):
      for notice in answer.notices { send(.notice(notice.fields("WARNING"))) }
      if prepared.columns != nil { describe(prepared, []) }
      guard try rows(answer.rows, prepared, []) else { return try endSimple() }
      send(.commandComplete(answer.tag))
      try simple(rest, isFirst: false)
    }
  }

  /// Sends rows. Returns false after an error.
  private func rows(_ rows: [[StoredValue]], _ prepared: PreparedStatement, _ formats: [Int16]) throws -> Bool {
    for row in rows {
      switch Self.encoded(row, prepared.columns ?? [], formats) {
      case .success(let values): send(.dataRow(values))
      case .failure(let error):
        fail(try engine.refuse(id, error), nil)
        return false
      }
    }
    return true
  }

  private static func encoded(
    _ row: [StoredValue], _ columns: [ResultColumn], _ formats: [Int16]
  ) -> Result<PostgresRow, ServerError> {
    var values: [[UInt8]?] = []
    for (index, value) in row.enumerated() {
      do throws(ServerError) {
        values.append(try WireForm.write(value, as: columns[index].type.type, isBinary: isBinary(formats, index)))
      } catch {
        return .failure(error)
      }
    }
    return .success(PostgresRow(values))
  }

  // MARK: Simple queries

  private func simple(_ statements: [SQLParser.Parsed], isFirst: Bool = true) throws {
    guard let next = statements.first else {
      if isFirst { send(.emptyQuery) }
      return try endSimple()
    }
    do {
      let prepared = try engine.prepare(id, next)
      guard prepared.parameters.isEmpty else { throw ServerError("42P02", "there is no parameter $1") }
      pending = .simple(prepared, rest: Array(statements.dropFirst()))
      if let result = try run(prepared, [], next.text) { try finish(result) }
    } catch let error as ServerError {
      pending = nil
      send(.error(try engine.refuse(id, error).fields("ERROR")))
      try endSimple()
    }
  }

  private func endSimple() throws {
    isSkipping = false
    try endImplicit()
    ready()
  }
}

extension ResultColumn {
  /// The column for RowDescription.
  func description(_ isBinary: Bool) -> PostgresColumn {
    var column = PostgresColumn(name, PostgresType(type.type.rawValue), isBinary ? .binary : .text)
    column.table = UInt32(tableID)
    column.number = Int16(number)
    column.size = type.type.size
    column.modifier = type.length.map { Int32($0 + 4) } ?? -1
    return column
  }
}

extension ServerError {
  /// The fields of ErrorResponse or NoticeResponse.
  func fields(_ severity: String) -> PostgresFields {
    var more: [PostgresFields.Field] = []
    for (letter, text) in [("D", detail), ("s", schema), ("t", table), ("c", column), ("n", constraint)]
      as [(Unicode.Scalar, String?)]
    {
      if let text { more.append(PostgresFields.Field(letter, text)) }
    }
    return PostgresFields(severity: severity, code: SQLState(code) ?? .internalError, message: message, more)
  }
}
