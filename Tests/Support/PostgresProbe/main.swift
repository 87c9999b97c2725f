import CLinux
import Environment
import Foundation
import Real
import System

// Runs transactions on a PostgreSQL server, for tests. Each line of the input is a JSON object with
// the statements of one transaction:
//
//   {"statements": [["INSERT INTO probe VALUES ($1, $2)", "a", 1]], "pause_ms": 10}
//
// Each line of the output is its outcome: {"ok": [[row, …], …]} with the rows of each statement, or
// {"error": "unavailable", "reason": "…"}. An object without statements asks for the health. `--ca
// FILE` has the authorities of the servers.

signal(SIGPIPE, SIG_IGN)
parley_line_buffer_stdout()

func argument(_ name: String) -> String? {
  let arguments = CommandLine.arguments
  guard let index = arguments.firstIndex(of: name), index + 1 < arguments.count else { return nil }
  return arguments[index + 1]
}

func fail(_ reason: String) -> Never {
  FileHandle.standardError.write(Data("\(reason)\n".utf8))
  exit(2)
}

/// The values of a row, by the kinds that `kinds` has a letter for: `i` for numbers, `t` for texts,
/// `b` for bytes as hexadecimal digits.
func read(_ row: SQLRow, _ kinds: String) -> JSONValue {
  .array(
    kinds.enumerated().map { index, kind in
      let column = Int32(index)
      if row.isNull(column) { return .null }
      return switch kind {
      case "i": .int(row.int(column))
      case "b": .string(Hex.encode(row.bytes(column)))
      default: .string(row.text(column))
      }
    })
}

func value(_ json: JSONValue) -> SQLValue {
  if let number = json.int { return .int(number) }
  guard let text = json.string else { return .null }
  if text.hasPrefix("\\x"), let bytes = Hex.decode(text.dropFirst(2).utf8) { return .blob(bytes) }
  return .text(text)
}

func name(_ error: any Error) -> (String, String) {
  guard let error = error as? DatabaseError else { return ("other", "\(error)") }
  return ("\(error)".prefix { $0 != "(" }.description, error.reason)
}

let url: PostgresURL
do throws(PostgresURL.Invalid) {
  url = try PostgresURL(parsing: CommandLine.arguments.count > 1 ? CommandLine.arguments[1] : "")
} catch {
  fail(error.reason)
}
var servers = PostgresOptions(url)
if let text = argument("--connections"), let number = Int(text) { servers.connections = number }
if let text = argument("--statement-timeout-ms"), let number = Int64(text) {
  servers.statementTimeout = .milliseconds(number)
}
if let refusal = servers.refusal { fail(refusal) }
var trusted = Certificates.Contents()
if let path = argument("--ca") {
  guard let data = FileManager.default.contents(atPath: path) else { fail(path) }
  trusted.authorities = try Certificate.parse(pem: Array(data))
}
servers.tls = PostgresTLS(try Certificates(trusted))
let folder = "/tmp/parley-postgres-probe-\(getpid())"
let node = RealNode(
  "probe", storage: try RealStorage(path: folder), disk: OffloadPool(threads: 1), compute: OffloadPool(threads: 1),
  log: LogWriter(), level: .error)
rmdir(folder)
let database = try node.run { [servers] environment in
  var options = DatabaseOptions()
  options.servers = servers
  return Database(
    environment, path: "probe.db",
    migrations: Migrations("CREATE TABLE probe (id TEXT PRIMARY KEY, number BIGINT NOT NULL)"), options: options)
}

func run(_ statements: [JSONValue], pause: Int64) throws -> [[JSONValue]] {
  try node.run { environment in
    try await database.transaction { session in
      var results: [[JSONValue]] = []
      for statement in statements {
        let parts = statement.array ?? []
        let sql = SQLText(parts[0].string ?? "")
        let kinds = parts[1].string ?? ""
        let values = parts.dropFirst(2).map(value)
        let rows =
          switch values.count {
          case 0: try await session.query(sql) { read($0, kinds) }
          case 1: try await session.query(sql, values[0]) { read($0, kinds) }
          case 2: try await session.query(sql, values[0], values[1]) { read($0, kinds) }
          default: try await session.query(sql, values[0], values[1], values[2]) { read($0, kinds) }
          }
        results.append(rows)
        if pause > 0 { try await environment.clock.sleep(for: .milliseconds(pause)) }
      }
      return results
    }
  }
}

func answer(_ line: String) -> JSONValue {
  guard let request = try? JSONParser.parse(Array(line.utf8)) else {
    return ["error": "input", "reason": .string(line)]
  }
  guard let statements = request["statements"]?.array else {
    let isHealthy = try? node.run { _ in await database.checkHealth() }
    return ["ok": .bool(isHealthy == true)]
  }
  do {
    let results = try run(statements, pause: request["pause_ms"]?.int ?? 0)
    return ["ok": .array(results.map { .array($0) })]
  } catch {
    let (kind, reason) = name(error)
    return ["error": .string(kind), "reason": .string(reason)]
  }
}

while let line = readLine() { print(answer(line).text) }
try node.run { _ in await database.close() }
