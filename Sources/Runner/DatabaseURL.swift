import Environment
import Glibc
import System

/// The URLs of PostgreSQL databases in the configuration.
enum DatabaseURL {
  /// The services that can keep their tables in one.
  static let services = ["users", "chat", "customers", "manager"]
  static let flags = ["database"] + services.map { "\($0)-database" }

  /// Parses a URL. `source` names the flag, variable or key in errors.
  static func parse(_ url: String, _ source: String) throws(UsageError) -> PostgresURL {
    let parsed: PostgresURL
    do throws(PostgresURL.Invalid) { parsed = try PostgresURL(parsing: url) } catch {
      throw UsageError("\(source): \(error.reason)")
    }
    if let refusal = PostgresOptions(parsed).refusal { throw UsageError("\(source): \(refusal)") }
    return parsed
  }
}

/// Where passwords of PostgreSQL are found that are not in a URL: `PGPASSWORD`, and the file that
/// `PGPASSFILE` names or `~/.pgpass`.
struct DatabasePasswords {
  private let password: String?
  private let path: String?

  init(_ environment: [(name: String, value: String)]) {
    func value(_ name: String) -> String? { environment.first { $0.name == name && !$0.value.isEmpty }?.value }
    password = value("PGPASSWORD")
    path = value("PGPASSFILE") ?? value("HOME").map { $0 + "/.pgpass" }
  }

  /// Adds what was found to options whose URL has no password.
  /// - Throws: `UsageError` if others can read the file.
  func add(to options: inout PostgresOptions) throws(UsageError) {
    guard options.url.password == nil else { return }
    options.password = password
    guard password == nil, let path, let bytes = readFile(path) else { return }
    var status = stat()
    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return }
    // A password that others can read is no secret. libpq ignores such a file.
    guard status.st_mode & 0o077 == 0 else {
      throw UsageError("\(path): group or others can read it; run chmod 600 \(path)")
    }
    options.passwordFile = PostgresPasswordFile(String(decoding: bytes, as: UTF8.self))
  }
}
