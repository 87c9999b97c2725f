@testable import Environment
import Foundation
import Testing

/// The binary, as a user sees it.
@Suite("The command line")
struct CommandLineTests {
  private static let binary = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(
    path: "parley")
  private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  private func parley(_ arguments: String..., environment: [String: String] = [:], input: String = "") throws
    -> FinishedProcess
  {
    try FinishedProcess(Self.binary, arguments, in: Self.root, environment: environment, input: input)
  }

  @Test(
    "each error is one line, with exit code 2",
    arguments: [
      (["srve"], "parley: unknown command \"srve\"; did you mean \"serve\"?\n"),
      (["serve", "--usrs-port", "1"], "parley: unknown flag --usrs-port; did you mean --users-port?\n"),
      (["serve", "--users-port", "70000"], "parley: --users-port: \"70000\" is not a port from 0 to 65535\n"),
      (
        ["serve", "--jwt-secret", "short"],
        "parley: --jwt-secret: a key for HS256 should have 32 bytes (RFC 7518 §3.2) and must have at least 16, not 5\n"
      ),
      (
        ["serve", "--service-token", "0123456789abcde"],
        "parley: --service-token: a token must have at least 16 characters, not 15\n"
      ),
      (
        ["serve", "--trusted-proxy", "10.0.0.0/33"],
        "parley: --trusted-proxy: \"10.0.0.0/33\" is not an address or network; write for example 127.0.0.1, 10.0.0.0/8, 2001:db8::/32\n"
      ),
      (
        ["serve", "--log-level", "inof"],
        "parley: --log-level: \"inof\" is not one of debug, info, warning, error; did you mean info?\n"
      ),
      (
        ["serve", "--access-token-ttl", "soon"],
        "parley: --access-token-ttl: \"soon\" is not a time from 1s to 3650d; write for example 500ms, 30s, 60m, 7d\n"
      ),
      (
        ["serve", "usrs"],
        "parley: unknown service \"usrs\"; the services are: broker, users, manager, supervisor, chat, customers; did you mean \"users\"?\n"
      ),
      (["serve", "--data", "/proc/nowhere"], "parley: --data /proc/nowhere: /proc/nowhere does not exist\n"),
      (["simulate", "nowhere"], "parley: nowhere: No such file or directory\n"),
      (
        ["simulate", "scenarios", "--seeds", "9...1"],
        "parley: --seeds: \"9...1\" is not a range; write for example 1...200\n"
      ),
      (["simulate"], "parley: missing scenarios; write for example: parley simulate scenarios\n"),
    ])
  func complaints(arguments: [String], line: String) throws {
    let outcome = try FinishedProcess(Self.binary, arguments, in: Self.root)
    #expect(outcome.code == 2)
    #expect(outcome.errors == line)
  }

  private static let range = "is not a time from 1s to 3650d; write for example 500ms, 30s, 60m, 7d"

  @Test(
    "`serve --check` reports the errors of `serve`, with one line that names the setting",
    arguments: [
      (["--access-token-ttl", "99999999999999d"], "--access-token-ttl: \"99999999999999d\" \(range)"),
      (["--refresh-token-ttl", "0"], "--refresh-token-ttl: \"0\" \(range)"),
      (["--refresh-token-ttl", "-1s"], "--refresh-token-ttl: \"-1s\" \(range)"),
      (["--refresh-token-ttl", String(repeating: "9", count: 400) + "s"], range),
      (["--head-timeout", "2d"], "--head-timeout: \"2d\" is not a time from 1ms to 1d"),
      (["--users-port", "-1"], "is not a port from 0 to 65535"),
      (["--users-port", "80.0"], "is not a port from 0 to 65535"),
      (["--users-port", "18446744073709551616"], "is not a port from 0 to 65535"),
      (
        ["--max-body-bytes", "9223372036854775808"],
        "--max-body-bytes: \"9223372036854775808\" is not a number from 1024 to 1073741824"
      ),
      (["--max-connections", "0"], "is not a number from 1 to 1000000"),
      (["--amqp", "http://x"], "--amqp: \"http://x\" is not of the form amqp://user:password@host:port/"),
      (["--amqp", "amqp://x:99999/"], "--amqp: "), (["--amqp", "amqp://user@x/"], "--amqp: "),
      (["--amqp", "amqps://x/y"], "--amqp: "),
      (["users", "--users-url", "ftp://x:1"], "--users-url: \"ftp://x:1\" is not of the form http://host:port"),
      (["--manager-url", "http://x:0"], "--manager-url: "), (["--manager-url", "http://:80"], "--manager-url: "),
      (["--users-port", "7000", "--chat-port", "7000"], "--users-port and --chat-port are both 7000"),
      (["--amqp-port", "7000", "--customers-port", "7000"], "--amqp-port and --customers-port are both 7000"),
      (
        ["--host", "192.0.2.1", "--service-token", "0123456789abcdef"],
        "--host 192.0.2.1 is not an address of this machine"
      ),
      (
        ["--host", "nowhere.invalid", "--service-token", "0123456789abcdef"],
        "--host nowhere.invalid cannot be resolved"
      ),
      (["--host", "a b"], "--host: \"a b\" is not an IP address or a host name"),
      (["--host", "1:2:3"], "--host: \"1:2:3\" is not an IP address or a host name"),
      (["--host", "127.evil.example"], "can be reached from other machines"),
      (["--host", "::"], "can be reached from other machines"),
      (["--data", "/proc/nowhere"], "--data /proc/nowhere: /proc/nowhere does not exist"),
      (["--data", "/nowhere/deeper"], "--data /nowhere/deeper: /nowhere/deeper does not exist"),
      (["--data", "/etc/passwd"], "--data /etc/passwd: Not a directory"),
      (["--data", "/etc/passwd/x"], "--data /etc/passwd/x: Not a directory"),
      (["--log-format", "jsn"], "did you mean json?"), (["--data", ""], "--data: must not be empty"),
      (["chat"], "chat needs users, which this process does not run: set --users-url to its URL"),
      (["users", "--node", "a"], "--node: several nodes of users share a database: set --database to its URL"),
      (["users", "--node", "a", "--database", "postgresql://u@h/d"], "--node: all nodes of users need the same"),
      (["users", "--node", "a b"], "--node: a name has 1 to 64 letters"),
      (
        ["chat", "--users-url", "http://127.0.0.1:8001", "--node", "a"],
        "--node: several nodes of chat share a database: set --database to its URL"
      ),
      (
        [
          "users", "chat", "broker", "--node", "a", "--users-database", "postgresql://u@h/d", "--chat-database",
          "postgresql://u@h/d", "--jwt-secret", "a secret of at least thirty-two bytes",
        ],
        "--node: several nodes of chat share a broker: run it in another process, and set --amqp"
      ),
      (
        [
          "customers", "--node", "a", "--customers-database", "postgresql://u@h/d", "--users-url",
          "http://127.0.0.1:8001", "--amqp", "amqp://127.0.0.1",
        ], "--node: one process has the tables of customers"
      ),
      (
        ["manager", "--node", "a", "--manager-database", "postgresql://u@h/d", "--amqp", "amqp://127.0.0.1"],
        "--node: one process has the tables of manager"
      ),
      (["manager"], "manager needs a broker, which this process does not run: set --amqp to its URL"),
      (["supervisor"], "supervisor needs a broker"), (["customers", "broker"], "customers needs users"),
      (["--service-token", "0123456789abcde"], "--service-token: a token must have at least 16 characters"),
      (
        ["--trusted-proxy", "10.0.0.0/8", "--trusted-proxy", "x"], "--trusted-proxy: \"x\" is not an address or network"
      ),
    ])
  func refused(arguments: [String], line: String) throws {
    for check in [["--check"], []] {
      let outcome = try FinishedProcess(Self.binary, ["serve"] + arguments + check, in: Self.root)
      #expect(outcome.code == 2)
      #expect(outcome.errors.hasPrefix("parley: ") && outcome.errors.contains(line), "\(outcome.errors)")
      #expect(outcome.errors.split(separator: "\n").count == 1 && outcome.output.isEmpty)
    }
  }

  @Test(
    "an empty or incomplete configuration file is an error with file, line and column",
    arguments: [
      "", " ", "\n\n", "//", "/*", "{", "{ usersPort", "{ usersPort:", "{ usersPort: 1", "{ usersPort: 1,",
      "{ usersPort: -",
      "{ usersPort: 0x", "{ usersPort: 1e", "{ data: 'x", "{ data: '\\", "{ data: '\\u12", "{ corsOrigin: [",
      "{ corsOrigin: ['a'",
      "nul", "\u{FEFF}", "{ usersPort: 1 } x",
    ])
  func truncatedConfiguration(text: String) throws {
    let file = FileManager.default.temporaryDirectory.appending(
      path: "parley-cut-\(getpid())-\(UInt32.random(in: 0...UInt32.max)).json5")
    try Data(text.utf8).write(to: file)
    defer { try? FileManager.default.removeItem(at: file) }
    let outcome = try parley("serve", "--config", file.path)
    #expect(outcome.code == 2)
    let place = try Regex("^parley: \(file.path):[0-9]+:[0-9]+: .+\n$")
    #expect(outcome.errors.wholeMatch(of: place) != nil, "\(outcome.errors)")
  }

  @Test("`serve --check` writes nothing, and refuses a database of a later version")
  func checkedDatabases() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "parley-check-\(getpid())").path
    #expect(try parley("serve", "--check", "--data", folder).code == 0)
    #expect(!FileManager.default.fileExists(atPath: folder))
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var header = Array("SQLite format 3\0".utf8) + [UInt8](repeating: 0, count: 84)
    for name in ["accounts", "chat", "manager", "customers", "broker"] {
      let file = URL(filePath: "\(folder)/\(name).db")
      for (version, line) in [(1, nil), (99, "has schema 99, and this version knows")] as [(UInt8, String?)] {
        header[63] = version
        try Data(header).write(to: file)
        let outcome = try parley("serve", "--check", "--data", folder)
        #expect(outcome.code == (line == nil ? 0 : 2))
        #expect(line == nil || outcome.errors.contains("\(name).db: the database \(line!)"), "\(outcome.errors)")
      }
      try Data("no database".utf8).write(to: file)
      #expect(try parley("serve", "--check", "--data", folder).errors.contains("\(name).db: is not a database"))
      try FileManager.default.removeItem(at: file)
    }
  }

  @Test(
    "loopback addresses need no token", arguments: ["127.0.0.1", "127.0.0.9", "localhost", "::ffff:127.0.0.1"])
  func loopbackForms(host: String) throws {
    #expect(try parley("serve", "--check", "--host", host).code == 0)
  }

  @Test("::1 with and without brackets is loopback")
  func loopbackVersion6() throws {
    for host in ["::1", "[::1]", "0:0:0:0:0:0:0:1"] {
      // A machine without IPv6 has no such address.
      let outcome = try parley("serve", "--check", "--host", host)
      #expect(!outcome.errors.contains("service token"), "\(outcome.errors)")
    }
  }

  @Test("addresses other than loopback require a service token")
  func loopback() throws {
    let outcome = try parley("serve", "--check", "--host", "0.0.0.0")
    #expect(outcome.code == 2)
    #expect(outcome.errors.contains("set a service token"))
    #expect(try parley("serve", "--check", "--host", "0.0.0.0", "--service-token", "0123456789abcdef").code == 0)
  }

  @Test("flags override the environment, which overrides the file, which overrides defaults; secrets are blanked")
  func layers() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "parley-cli-\(getpid())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try Data(
      "{ usersPort: 1, passwordRounds: 7, logLevel: 'warning', jwtSecret: ['0123456789abcdef0123456789abcdef'] }".utf8
    ).write(to: folder.appending(path: "parley.json5"))
    let outcome = try parley(
      "serve", "--check", "--data", folder.path, "--users-port", "3",
      environment: ["PARLEY_USERS_PORT": "2", "PARLEY_PASSWORD_ROUNDS": "8"])
    #expect(outcome.code == 0)
    for part in [
      "\"usersPort\":3", "\"passwordRounds\":8", "\"logLevel\":\"warning\"", "\"accessTokenTtl\":\"60m\"",
      "\"jwtSecret\":[\"***\"]",
    ] {
      #expect(outcome.output.contains(part), "\(outcome.output)")
    }
    try Data("{\n  userPort: 1 }".utf8).write(to: folder.appending(path: "parley.json5"))
    let wrong = try parley("serve", "--check", "--data", folder.path)
    #expect(
      wrong.errors == "parley: \(folder.path)/parley.json5:2:3: unknown key \"userPort\"; did you mean \"usersPort\"?\n"
    )
    let elsewhere = folder.appending(path: "other.json5")
    try Data("{ passwordRounds: 9 }".utf8).write(to: elsewhere)
    #expect(
      try parley("serve", "--check", environment: ["PARLEY_CONFIG": elsewhere.path]).output.contains(
        "\"passwordRounds\":9"))
    #expect(try parley("serve", "--check", "--chat-port", "0", "--amqp", "amqp://x").code == 0)
    let variable = try parley("serve", "--check", environment: ["PARLEY_USER_PORT": "1"])
    #expect(
      variable.errors == "parley: unknown environment variable PARLEY_USER_PORT; did you mean PARLEY_USERS_PORT?\n")
  }

  @Test("help for each command, and the version")
  func help() throws {
    for command in ["serve", "simulate", "hash-password", "version", "help"] {
      let outcome = try parley("help", command)
      #expect(outcome.code == 0)
      #expect(outcome.output.hasPrefix("parley \(command)"))
    }
    #expect(try parley("version").output.hasPrefix("parley "))
    #expect(try parley("--version").output == parley("version").output)
    let help = try parley("help", "serve").output
    for part in ["(default 127.0.0.1)", "(default 8001)", "(default 60m)", "(default 600000)", "(default 32768)"] {
      #expect(help.contains(part))
    }
    #expect(try parley("serve", "--help").output.contains("--password-rounds"))
  }

  @Test("hash-password prints a hash as the users table stores it")
  func hashPassword() throws {
    let outcome = try parley("hash-password", "--password-rounds", "5", input: "password123\n")
    #expect(outcome.code == 0)
    #expect(outcome.output.contains("password_hash pbkdf2-sha256$5$"))
    #expect(try parley("hash-password", input: "short\n").code == 2)
  }

  @Test("the hash of a seed does not depend on the process or the number of jobs")
  func hashes() throws {
    let file = "scenarios/accounts/racing-deletes.json5"
    let one = try parley("simulate", file, "--seeds", "1...4", "--hashes", "--jobs", "1")
    let two = try parley("simulate", file, "--seeds", "1...4", "--hashes", "--jobs", "2")
    #expect(one.code == 0)
    #expect(one.output == two.output)
    #expect(one.output.hasSuffix("4 passed, 0 failed\n"))
    #expect(one.output.split(separator: "\n").count == 5)
  }

  @Test("a trap is a finding of `simulate` and `fuzz`, and ends neither")
  func traps() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "parley-traps-\(getpid())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appending(path: "traps.json5").path
    let people = "people: [{ name: 'ann', count: 3, thinkTime: '200ms' }]"
    try Data("{ name: 'traps', run: '20s', plant: ['users.traps'], \(people) }".utf8).write(to: URL(filePath: file))
    let simulated = try parley("simulate", file, "--seeds", "1...2", "--jobs", "2")
    #expect(simulated.code == 1 && simulated.output.contains("no-trap"), "\(simulated.output)")
    #expect(simulated.output.hasSuffix("0 passed, 2 failed\n"), "\(simulated.output)")
    let out = folder.appending(path: "found").path
    let searched = try parley(
      "fuzz", file, "--plant", "users.traps", "--time", "60s", "--shrink-time", "3s", "--out", out)
    #expect(searched.code == 1 && searched.output.contains("no-trap: the system never traps"), "\(searched.output)")
  }

  @Test("an endless loop is a finding of `fuzz`, and does not end it")
  func endlessLoops() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "parley-loops-\(getpid())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appending(path: "loops.json5").path
    try Data("{ name: 'loops', run: '5s', people: [{ name: 'ann', thinkTime: '200ms' }] }".utf8).write(
      to: URL(filePath: file))
    let searched = try parley(
      "fuzz", file, "--plant", "users.loops", "--time", "60s", "--run-limit", "2s", "--shrink-time", "3s", "--out",
      folder.appending(path: "found").path)
    #expect(searched.code == 1 && searched.output.contains("ends: every run ends"), "\(searched.output)")
  }

  @Test("a dry run of the search prints the same scenarios each time, and runs none")
  func dryRun() throws {
    let one = try parley("fuzz", "--dry-run", "--seeds", "5", "--first", "7")
    #expect(one.code == 0)
    let lines = one.output.split(separator: "\n")
    #expect(lines.count == 5 && lines.allSatisfy { $0.hasPrefix("{") }, "\(one.output)")
    #expect(try parley("fuzz", "--dry-run", "--seeds", "5", "--first", "7").output == one.output)
    #expect(try parley("fuzz", "--dry-run").code == 2)
  }

  @Test("with ten seeds or more, unreached goals are reported apart from failures, with exit code 1")
  func unreached() throws {
    let file = FileManager.default.temporaryDirectory.appending(path: "parley-\(getpid()).json5")
    try Data("{ name: 'never crashes', run: '1s', people: [{ name: 'a' }], expect: { crashes: 1 } }".utf8).write(
      to: file)
    defer { try? FileManager.default.removeItem(at: file) }
    let few = try parley("simulate", file.path, "--seed", "5")
    #expect(few.code == 0)
    #expect(few.output.contains("not reached with 1 seed"))
    #expect(few.output.hasSuffix("1 passed, 0 failed\n"))
    let enough = try parley("simulate", file.path, "--seeds", "1...20", "--jobs", "1")
    #expect(enough.code == 1)
    #expect(enough.output.contains("NOT REACHED \(file.path): crashes: 0, expected at least 2"))
    #expect(enough.output.hasSuffix("1 not reached\n20 passed, 0 failed\n"))
  }
}
