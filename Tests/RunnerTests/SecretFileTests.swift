import Foundation
import Testing

/// Secrets that `serve` reads from files.
@Suite("Secret files")
struct SecretFileTests {
  private static let binary = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(
    path: "parley")
  private let folder: URL

  init() throws {
    folder = FileManager.default.temporaryDirectory.appending(path: "parley-secrets-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  private func file(_ name: String, _ text: String) throws -> String {
    let url = folder.appending(path: name)
    try Data(text.utf8).write(to: url)
    return url.path
  }

  private func check(_ arguments: [String], environment: [String: String] = [:]) throws -> FinishedProcess {
    try FinishedProcess(
      Self.binary, ["serve", "--check", "--data", folder.path] + arguments, in: folder, environment: environment)
  }

  @Test("a secret comes from a file that a flag, a variable or the configuration names, or from a credential")
  func sources() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = try file("service-token", "a secret of the services\n")
    let open = ["--host", "0.0.0.0"]
    #expect(try check(open).code == 2, "a token is needed")
    for outcome in [
      try check(open + ["--service-token-file", path]),
      try check(open, environment: ["PARLEY_SERVICE_TOKEN_FILE": path]),
      try check(open, environment: ["CREDENTIALS_DIRECTORY": folder.path]),
    ] {
      #expect(outcome.code == 0, "\(outcome.errors)")
      #expect(outcome.output.contains("\"serviceToken\":\"***\""))
      #expect(!outcome.output.contains("a secret of the services"))
    }
    _ = try file("parley.json5", "{ serviceTokenFile: '\(path)' }")
    #expect(try check(open).code == 0)
  }

  @Test("a file may have several keys, one in each line")
  func keys() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = try file("keys", "0123456789abcdef0123456789abcdef\nfedcba9876543210fedcba9876543210\n")
    #expect(try check(["--jwt-secret-file", path]).output.contains("\"jwtSecret\":[\"***\",\"***\"]"))
  }

  @Test("a broker's address with its password may be in a file")
  func broker() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = try file("amqp", "amqp://parley:password@broker.internal/\n")
    let outcome = try check(["--amqp-file", path])
    #expect(outcome.code == 0)
    #expect(outcome.output.contains("broker.internal"))
    #expect(!outcome.output.contains("password@"))
  }

  @Test("a flag's file overrides a variable's secret")
  func layers() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = try file("keys", "0123456789abcdef0123456789abcdef\nfedcba9876543210fedcba9876543210\n")
    let outcome = try check(
      ["--jwt-secret-file", path], environment: ["PARLEY_JWT_SECRET": "00000000000000000000000000000000"])
    #expect(outcome.output.contains("\"jwtSecret\":[\"***\",\"***\"]"))
  }

  @Test("each error names the flag and the file, and no part of the secret")
  func errors() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let (short, empty, two) = (
      try file("short", "tiny"), try file("empty", "\n"), try file("two", "first line of it\nsecond")
    )
    for (arguments, error) in [
      (
        ["--service-token-file", short],
        "--service-token-file \(short): a token must have at least 16 characters, not 4"
      ),
      (["--service-token-file", empty], "--service-token-file \(empty): the file is empty"),
      (["--service-token-file", two], "--service-token-file \(two): the file has 2 lines, and should have one"),
      (["--jwt-secret-file", "/nowhere"], "--jwt-secret-file /nowhere: No such file or directory"),
      (
        ["--service-token-file", short, "--service-token", "0123456789abcdef"],
        "--service-token and --service-token-file are both given; one of them is enough"
      ),
    ] {
      let outcome = try check(arguments)
      #expect(outcome.code == 2)
      #expect(outcome.errors == "parley: \(error)\n")
    }
  }
}
