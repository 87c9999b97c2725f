import Environment
import Testing

@testable import System

@Suite("PostgreSQL's URLs and password files")
struct PostgresURLTests {
  @Test("a URL with every part")
  func whole() throws {
    let url = try PostgresURL(
      parsing:
        "postgresql://us%40er:p%3Aw%2F@db1:5433,[2001:db8::1],10.0.0.1:1/par%20ley?sslmode=disable&target_session_attrs=primary&application_name=a%20b&connect_timeout=3"
    )
    #expect(url.user == "us@er")
    #expect(url.password == "p:w/")
    #expect(
      url.hosts == [
        SocketAddress(host: "db1", port: 5433), SocketAddress(host: "2001:db8::1", port: 5432),
        SocketAddress(host: "10.0.0.1", port: 1),
      ])
    #expect(url.database == "par ley")
    #expect(url.encryption == .disable)
    #expect(url.target == .primary)
    #expect(url.applicationName == "a b")
    #expect(url.connectTimeout == .seconds(3))
    let short = try PostgresURL(parsing: "postgres://parley@localhost")
    #expect(short.database == "parley")
    #expect(short.password == nil)
    #expect(short.target == .readWrite)
  }

  @Test(
    "an error names the part that is wrong",
    arguments: [
      ("mysql://a@b/c", "postgresql://"), ("postgresql://host/db", "user"), ("postgresql://u@/db", "host"),
      ("postgresql://u@h:0/db", "port \"0\""), ("postgresql://u@h:x/db", "port \"x\""),
      ("postgresql://u@h:+1/db", "port \"+1\""), ("postgresql://u@[::1/db", "]"), ("postgresql://u@[x]/db", "IPv6"),
      ("postgresql://u@h,/db", "host"), ("postgresql://u:%zz@h/db", "password"), ("postgresql://%00@h/db", "user"),
      ("postgresql://u@h/%f", "database"), ("postgresql://u@%2Ftmp/db", "Unix socket"),
      ("postgresql://u@a b/db", "host"),
      ("postgresql://u@h/db?sslmode=on", "sslmode"), ("postgresql://u@h/db?sslmod=disable", "sslmode"),
      ("postgresql://u@h/db?target_session_attrs=rw", "target_session_attrs"),
      ("postgresql://u@h/db?connect_timeout=0", "connect_timeout"), ("postgresql://u@h/db?password=x", "password"),
      ("postgresql://u@h/db?sslmode", "sslmode"), ("postgresql://u@h/db?sslmode=disable&sslmode=disable", "twice"),
      ("postgresql://u@h/db#x", "fragment"),
    ])
  func errors(url: String, part: String) {
    let error = #expect(throws: PostgresURL.Invalid.self) { try PostgresURL(parsing: url) }
    #expect(error?.reason.contains(part) == true, "\(error?.reason ?? "")")
  }

  @Test("a password is blanked")
  func redacted() {
    #expect(PostgresURL.redacted("postgresql://u:p@ss@h/db") == "postgresql://u:***@h/db")
    #expect(PostgresURL.redacted("postgresql://u@h:1/db") == "postgresql://u@h:1/db")
  }

  @Test("a password file: the first line that fits, with escapes and stars")
  func passwordFile() {
    let file = PostgresPasswordFile(
      """
      # comment
      too:few:fields
      db1:5432:parley:u\\:v:a\\:b\\\\c:d
      *:*:*:other:second
      db1:*:parley:*:third
      """)
    let host = SocketAddress(host: "db1", port: 5432)
    #expect(file.password(host: host, database: "parley", user: "u:v") == "a:b\\c:d")
    #expect(file.password(host: host, database: "x", user: "other") == "second")
    #expect(file.password(host: host, database: "parley", user: "u") == "third")
    #expect(file.password(host: host, database: "x", user: "u") == nil)
  }
}
