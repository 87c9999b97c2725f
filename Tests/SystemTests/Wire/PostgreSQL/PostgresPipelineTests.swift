import Testing

@testable import System

@Suite("PostgreSQL's requests under way")
struct PostgresPipelineTests {
  private static let statement = PostgresStatement(parameters: [.int8], columns: [PostgresColumn("n", .int8)])
  private static let failure = PostgresFields(code: .uniqueViolation, message: "duplicate")

  private static func events(
    _ pipeline: inout PostgresPipeline, _ messages: PostgresBackendMessage..., pieces: Int = 1
  ) throws -> [PostgresPipeline.Event] {
    let bytes = messages.reduce(into: [UInt8]()) { $1.write(to: &$0) }
    var events: [PostgresPipeline.Event] = []
    for start in stride(from: 0, to: bytes.count, by: pieces) {
      pipeline.receive(Array(bytes[start..<min(start + pieces, bytes.count)]))
      while let event = try pipeline.next() { events.append(event) }
    }
    return events
  }

  @Test("a statement is parsed once and run")
  func run() throws {
    var pipeline = PostgresPipeline(PostgresBackendParser())
    let parse = pipeline.prepare("s1", "SELECT $1 + 1")
    let first = pipeline.sync()
    #expect(!pipeline.takeOutput().isEmpty)
    #expect(
      try Self.events(
        &pipeline, .parseComplete, .parameterDescription([20]), .rowDescription(Self.statement.columns),
        .readyForQuery(.idle)) == [.prepared(parse, Self.statement), .ready(first, .idle)])
    let run = pipeline.run("s1", Self.statement, [.int(1)])
    let second = pipeline.sync()
    let row = PostgresRow([[0, 0, 0, 0, 0, 0, 0, 2]])
    #expect(
      try Self.events(
        &pipeline, .bindComplete, .notice(Self.failure), .dataRow(row),
        .parameterStatus(PostgresParameter("TimeZone", "UTC")), .commandComplete("SELECT 1"), .readyForQuery(.idle))
        == [
          .notice(Self.failure), .setting(PostgresParameter("TimeZone", "UTC")),
          .finished(run, PostgresResult(rows: [row], tag: "SELECT 1")), .ready(second, .idle),
        ])
    #expect(pipeline.underWay == 0)
  }

  @Test("requests after a failed one are skipped up to the sync, and no further")
  func skipping() throws {
    var pipeline = PostgresPipeline(PostgresBackendParser())
    let failed = pipeline.run("s1", Self.statement, [.int(1)])
    let skipped = [pipeline.run("s1", Self.statement, [.int(2)]), pipeline.close("s2"), pipeline.prepare("s3", "x")]
    let sync = pipeline.sync()
    let next = pipeline.run("s1", Self.statement, [.int(3)])
    let last = pipeline.sync()
    #expect(
      try Self.events(
        &pipeline, .bindComplete, .error(Self.failure), .readyForQuery(.failed), .bindComplete,
        .commandComplete("INSERT 0 1"), .readyForQuery(.failed))
        == [.failed(failed, Self.failure)] + skipped.map { .skipped($0) } + [
          .ready(sync, .failed), .finished(next, PostgresResult(tag: "INSERT 0 1")), .ready(last, .failed),
        ])
  }

  @Test("a failed simple query ends with its state; the next request is answered")
  func simple() throws {
    var pipeline = PostgresPipeline(PostgresBackendParser())
    let failed = pipeline.query("BEGIN; x")
    let next = pipeline.query("ROLLBACK")
    #expect(
      try Self.events(
        &pipeline, .commandComplete("BEGIN"), .error(Self.failure), .readyForQuery(.failed),
        .commandComplete("ROLLBACK"), .readyForQuery(.idle)) == [
          .failed(failed, Self.failure), .ready(failed, .failed), .finished(next, PostgresResult(tag: "ROLLBACK")),
        ])
  }

  @Test("a commit that fails at the sync is a failure of the sync")
  func deferredFailure() throws {
    var pipeline = PostgresPipeline(PostgresBackendParser())
    let sync = pipeline.sync()
    #expect(
      try Self.events(&pipeline, .error(Self.failure), .readyForQuery(.idle)) == [
        .failed(sync, Self.failure), .ready(sync, .idle),
      ])
  }

  @Test("a notification and the end of the server may arrive at any time")
  func unasked() throws {
    var pipeline = PostgresPipeline(PostgresBackendParser())
    let end = PostgresFields(severity: "FATAL", code: .adminShutdown, message: "terminating connection")
    #expect(
      try Self.events(&pipeline, .notification(process: 1, channel: "c", payload: "p"), .error(end)) == [
        .notification(channel: "c", payload: "p"), .ending(end),
      ])
  }

  @Test(
    "answers that do not fit are refused",
    arguments: PostgresCodecTests.backend.filter {
      switch $0 {
      case .notice, .parameterStatus, .notification, .bindComplete, .error: false
      default: true
      }
    })
  func unexpected(message: PostgresBackendMessage) {
    var pipeline = PostgresPipeline(PostgresBackendParser())
    #expect(throws: PostgresProtocolError.self) { try Self.events(&pipeline, message) }
    _ = pipeline.run("s1", Self.statement, [])
    #expect(throws: PostgresProtocolError.self) { try Self.events(&pipeline, message) }
  }

  @Test("the tag ends with the number of rows", arguments: [("INSERT 0 3", 3), ("UPDATE 2", 2), ("BEGIN", 0), ("", 0)])
  func counts(tag: String, count: Int) { #expect(PostgresResult(tag: tag).count == count) }
}
