@testable import Environment
import Testing

@testable import System

/// Which requests count as those of services, and which client a request has.
@Suite("Service access and trusted proxies")
struct ServiceAccessTests {
  private static let token = "0123456789abcdef"

  private static func request(_ fields: String, target: String = "/", version: String = "1.1") throws -> HTTPRequest {
    var parser = HTTPRequestParser()
    parser.receive(Array("GET \(target) HTTP/\(version)\r\n\(fields)\r\n".utf8))
    guard case .request(let request)? = try parser.next() else { throw HTTPError.cutOff }
    return request
  }

  private static func status(
    token: String?, _ fields: String, target: String = "/", from peer: String = "127.0.0.1", version: String = "1.1"
  ) throws -> Int {
    let request = try request(fields, target: target, version: version)
    let address = SocketAddress(host: peer, port: 4000)
    let call = Call(request: request, peer: address, client: address)
    do throws(HTTPFailure) {
      try ServiceAccess(token: token).check(request, bearer: call.bearerToken, peer: address)
      return 200
    } catch {
      #expect((error.status == 401) == error.fields.contains { $0.name == "www-authenticate" })
      return error.status
    }
  }

  @Test(
    "without a token, only requests from this machine to this machine are admitted",
    arguments: [
      ("Host: 127.0.0.1:20000\r\n", 200), ("Host: localhost\r\n", 200), ("Host: LOCALHOST:1\r\n", 200),
      ("Host: 127.8.9.1:80\r\n", 200), ("Host: [::1]:20000\r\n", 200), ("Host: [::1]\r\n", 200),
      // DNS rebinding: the page's own name resolves to this machine.
      ("Host: evil.example\r\n", 421), ("Host: evil.example:20000\r\n", 421), ("Host: 127.0.0.1.evil.example\r\n", 421),
      ("Host: 127.evil.example\r\n", 421), ("Host: localhost.evil.example\r\n", 421), ("Host: 192.168.0.1\r\n", 421),
      ("Host: [::2]\r\n", 421), ("Host: ::1\r\n", 421), ("Host: \r\n", 421), ("Host: localhost:x\r\n", 421),
      ("Host: [127.0.0.1]\r\n", 421), ("Host: localhost:evil.example:80\r\n", 421),
      // Proxies.
      ("Host: localhost\r\nForwarded: for=1.2.3.4\r\n", 403),
      ("Host: localhost\r\nX-Forwarded-For: 127.0.0.1\r\n", 403),
      ("Host: localhost\r\nX-Forwarded-Proto: https\r\n", 403), ("Host: localhost\r\nX-FORWARDED-anything: x\r\n", 403),
      ("Host: localhost\r\nVia: 1.1 proxy\r\n", 403), ("Host: localhost\r\nX-Forwarded-For: \r\n", 403),
      // Web pages.
      ("Host: localhost:1\r\nOrigin: http://localhost:1\r\n", 200),
      ("Host: localhost:1\r\nOrigin: http://LOCALHOST:1\r\n", 200),
      ("Host: localhost:80\r\nOrigin: http://localhost\r\n", 200),
      ("Host: localhost\r\nOrigin: http://localhost:80\r\n", 200),
      ("Host: localhost:1\r\nOrigin: http://localhost:2\r\n", 403),
      ("Host: localhost:1\r\nOrigin: https://localhost:1\r\n", 403),
      ("Host: localhost:1\r\nOrigin: http://127.0.0.1:1\r\n", 403), ("Host: localhost:1\r\nOrigin: null\r\n", 403),
      ("Host: localhost:1\r\nOrigin: https://evil.example\r\n", 403), ("Host: localhost:1\r\nOrigin:\r\n", 403),
      ("Host: localhost:1\r\nOrigin: http://localhost:1\r\nOrigin: http://evil.example\r\n", 403),
      ("Host: localhost\r\nSec-Fetch-Site: same-origin\r\n", 200), ("Host: localhost\r\nSec-Fetch-Site: none\r\n", 200),
      ("Host: localhost\r\nSec-Fetch-Site: same-site\r\n", 403),
      ("Host: localhost\r\nSec-Fetch-Site: cross-site\r\n", 403),
      ("Host: localhost\r\nSec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site\r\n", 403),
      ("Host: localhost\r\nSec-Fetch-Site: anything\r\n", 403),
      // Without a configured token, a token proves nothing.
      ("Host: evil.example\r\nAuthorization: Bearer \(token)\r\n", 421),
    ])
  func withoutToken(fields: String, status: Int) throws {
    #expect(try Self.status(token: nil, fields) == status)
  }

  @Test("without a token, only loopback is admitted", arguments: ["10.0.0.1", "::2", "users", "128.0.0.1", ""])
  func elsewhere(peer: String) throws {
    #expect(try Self.status(token: nil, "Host: localhost\r\n", from: peer) == 403)
  }

  @Test("an absolute target takes precedence over Host")
  func absoluteTargets() throws {
    #expect(try Self.status(token: nil, "Host: localhost\r\n", target: "http://evil.example/") == 421)
    #expect(try Self.status(token: nil, "Host: evil.example\r\n", target: "http://localhost:1/") == 200)
    #expect(try Self.status(token: nil, "", target: "/", version: "1.0") == 421)
    #expect(throws: HTTPError.self) { try Self.request("Host: x\r\n", target: "http:///") }
    #expect(throws: HTTPError.self) { try Self.request("Host: x\r\n", target: "http://localhost@evil.example/") }
  }

  @Test(
    "with a token, only requests that show it are admitted",
    arguments: [
      ("Host: localhost\r\n", "127.0.0.1", 401),
      ("Host: localhost\r\nAuthorization: Bearer \(token)\r\n", "127.0.0.1", 200),
      ("Host: any.example\r\nAuthorization: bearer \(token)\r\nVia: 1.1 x\r\nOrigin: https://a\r\n", "10.0.0.1", 200),
      ("Host: localhost\r\nAuthorization: Bearer \(token)0\r\n", "127.0.0.1", 401),
      ("Host: localhost\r\nAuthorization: Bearer \r\n", "127.0.0.1", 401),
      ("Host: localhost\r\nAuthorization: Basic \(token)\r\n", "127.0.0.1", 401),
      ("Host: localhost\r\nAuthorization: \(token)\r\n", "127.0.0.1", 401),
    ])
  func withToken(fields: String, peer: String, status: Int) throws {
    #expect(try Self.status(token: Self.token, fields, from: peer) == status)
  }

  private static let proxies = TrustedProxies(["10.0.0.0/8", "::1", "2001:db8::/32"].compactMap { IPNetwork($0) })

  @Test(
    "the client is the rightmost hop that is not a trusted proxy",
    arguments: [
      ("192.0.2.1", "X-Forwarded-For: 1.2.3.4\r\n", "192.0.2.1:4000"), ("10.0.0.1", "", "10.0.0.1:4000"),
      ("users", "X-Forwarded-For: 1.2.3.4\r\n", "users:4000"), ("", "X-Forwarded-For: 1.2.3.4\r\n", ":4000"),
      ("10.0.0.1", "X-Forwarded-For: 1.2.3.4\r\n", "1.2.3.4:0"), ("::1", "X-Forwarded-For: 1.2.3.4\r\n", "1.2.3.4:0"),
      ("::ffff:10.0.0.1", "X-Forwarded-For: 1.2.3.4\r\n", "1.2.3.4:0"),
      // The client claims the first; the proxy saw the last.
      ("10.0.0.1", "X-Forwarded-For: 6.6.6.6, 1.2.3.4\r\n", "1.2.3.4:0"),
      ("10.0.0.1", "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 1.2.3.4\r\n", "1.2.3.4:0"),
      ("10.0.0.1", "X-Forwarded-For: 6.6.6.6, 1.2.3.4 ,10.9.9.9\t\r\n", "1.2.3.4:0"),
      ("10.0.0.1", "X-Forwarded-For: 10.3.3.3, 10.9.9.9\r\n", "10.3.3.3:0"),
      ("10.0.0.1", "X-Forwarded-For: ::ffff:1.2.3.4\r\n", "1.2.3.4:0"),
      ("10.0.0.1", "X-Forwarded-For: 2001:DB9:0:0::1\r\n", "[2001:db9::1]:0"),
      ("10.0.0.1", "X-Forwarded-For: 1.2.3.4:5678\r\n", "1.2.3.4:5678"),
      ("10.0.0.1", "X-Forwarded-For: [2001:db9::1]:80\r\n", "[2001:db9::1]:80"),
      // An invalid hop ends the search: the proxy that wrote it is the last known hop.
      ("10.0.0.1", "X-Forwarded-For: 1.2.3.4, unknown\r\n", "10.0.0.1:4000"),
      ("10.0.0.1", "X-Forwarded-For: 1.2.3.4, junk, 10.9.9.9\r\n", "10.9.9.9:0"),
      ("10.0.0.1", "X-Forwarded-For: \r\n", "10.0.0.1:4000"), ("10.0.0.1", "X-Forwarded-For: , ,\r\n", "10.0.0.1:4000"),
      ("10.0.0.1", "X-Forwarded-For: 999.1.1.1\r\n", "10.0.0.1:4000"),
      ("10.0.0.1", "X-Forwarded-For: [1.2.3.4]\r\n", "10.0.0.1:4000"),
      ("10.0.0.1", "X-Forwarded-For: \(String(repeating: "1", count: 20_000))\r\n", "10.0.0.1:4000"),
      ("10.0.0.1", "Forwarded: for=1.2.3.4\r\n", "1.2.3.4:0"),
      ("10.0.0.1", "Forwarded: For=\"[2001:db9::1]:47\";proto=https;by=10.0.0.1\r\n", "[2001:db9::1]:47"),
      ("10.0.0.1", "Forwarded: for=6.6.6.6;host=\"a,b;for=7.7.7.7\", proto=http;for=1.2.3.4\r\n", "1.2.3.4:0"),
      ("10.0.0.1", "Forwarded: for=6.6.6.6, for=_hidden\r\n", "10.0.0.1:4000"),
      ("10.0.0.1", "Forwarded: for=6.6.6.6, proto=http\r\n", "10.0.0.1:4000"),
      ("10.0.0.1", "Forwarded: for=6.6.6.6;for=7.7.7.7\r\n", "10.0.0.1:4000"),
      // A quote that the client leaves open does not hide the part that the proxy adds.
      ("10.0.0.1", "Forwarded: for=\"6.6.6.6, for=1.2.3.4\r\n", "10.0.0.1:4000"),
      ("10.0.0.1", "Forwarded: for=\"\r\nForwarded: for=1.2.3.4\r\n", "1.2.3.4:0"),
      ("10.0.0.1", "Forwarded: for=\"1.2.3.\\4\"\r\n", "1.2.3.4:0"),
      // The proxy writes one field; the other is from the client.
      ("10.0.0.1", "Forwarded: for=6.6.6.6\r\nX-Forwarded-For: 1.2.3.4\r\n", "10.0.0.1:4000"),
      ("10.0.0.1", "Forwarded: for=1.2.3.4\r\nX-Forwarded-For: 1.2.3.4\r\n", "1.2.3.4:0"),
    ])
  func clients(peer: String, fields: String, client: String) throws {
    let request = try Self.request("Host: x\r\n" + fields)
    let found = Self.proxies.client(of: request.fields, from: SocketAddress(host: peer, port: 4000))
    #expect(found.description == client)
  }

  @Test("without trusted proxies, forwarding fields are ignored")
  func nobodyTrusted() throws {
    let peer = SocketAddress(host: "10.0.0.1", port: 4000)
    let request = try Self.request("Host: x\r\nX-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\n")
    #expect(TrustedProxies().client(of: request.fields, from: peer) == peer)
  }
}
